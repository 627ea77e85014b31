import assert from "node:assert/strict";
import { test } from "node:test";
import {
  GrpcStatus,
  grpcStatusName,
  grpcStatusOfHttp,
  httpStatusOfGrpc,
  isGrpcContentType,
  parseGrpcStatus,
} from "./grpc-status.ts";

test("the content-type of gRPC is application/grpc, with a format or parameters or without", () => {
  for (const type of [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc+json",
    "application/grpc;charset=utf-8",
    "application/grpc ;a=b",
    "application/grpc+proto; a=b",
  ]) {
    assert.equal(isGrpcContentType(type), true, type);
  }
  for (const type of [
    undefined,
    "",
    "application/grp",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpcx",
    "text/plain, application/grpc",
    "Application/gRPC",
    "application/json",
  ]) {
    assert.equal(isGrpcContentType(type), false, type);
  }
});

test("HTTP statuses stand for gRPC's as the table of gRPC says, and all others for UNKNOWN", () => {
  const known: Readonly<Record<number, number>> = {
    400: 13,
    401: 16,
    403: 7,
    404: 12,
    429: 14,
    502: 14,
    503: 14,
    504: 14,
  };
  for (let status = 100; status < 600; status++) {
    assert.equal(grpcStatusOfHttp(status), known[status] ?? GrpcStatus.Unknown, String(status));
  }
});

test("every gRPC status has an HTTP status and two names, and an unknown one its number", () => {
  const rows = Object.values(GrpcStatus)
    .filter((status) => status >= 0)
    .map((status) => [grpcStatusName(status, "camel"), grpcStatusName(status, "snake"), httpStatusOfGrpc(status)]);
  assert.deepEqual(rows[0], ["OK", "OK", 200]);
  assert.deepEqual(rows[1], ["Canceled", "CANCELLED", 499]);
  assert.deepEqual(rows[4], ["DeadlineExceeded", "DEADLINE_EXCEEDED", 504]);
  assert.deepEqual(rows[16], ["Unauthenticated", "UNAUTHENTICATED", 401]);
  assert.equal(rows.length, 17);
  assert.equal(grpcStatusName(17, "camel"), "17");
  assert.equal(grpcStatusName(GrpcStatus.Invalid, "snake"), "-1");
  assert.equal(httpStatusOfGrpc(99), 500);
});

test("a grpc-status that is no number is told from one that is not there", () => {
  assert.equal(parseGrpcStatus("14"), 14);
  assert.equal(parseGrpcStatus("200"), 200); // of somebody's own
  for (const value of ["x", "-1", "+1", "1.0", " 1", "1 ", "0x1", "12345678901"]) {
    assert.equal(parseGrpcStatus(value), GrpcStatus.Invalid, value);
  }
  for (const value of [undefined, ""]) assert.equal(parseGrpcStatus(value), undefined);
});
