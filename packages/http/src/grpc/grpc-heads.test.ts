import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { grpcStatusOf, isGrpcRequest, isGrpcResponse } from "./grpc-heads.ts";
import { grpcMethodOf } from "./grpc-method.ts";

test("a request is gRPC by its content type", () => {
  const request = (headers: HeaderMap): RequestHead => new RequestHead("POST", "http", "shop", "/a.B/C", headers, "2");
  assert.equal(isGrpcRequest(request(new HeaderMap(["content-type", "application/grpc+proto"]))), true);
  assert.equal(isGrpcRequest(request(new HeaderMap(["content-type", "application/grpc-web"]))), false);
  assert.equal(isGrpcRequest(request(new HeaderMap())), false);
});

test("a response that ends with its head is gRPC by grpc-status, another by 200 and its content type", () => {
  const grpc = new HeaderMap(["content-type", "application/grpc"]);
  const status = new HeaderMap(["grpc-status", "5"]);
  assert.equal(isGrpcResponse(new ResponseHead(200, grpc), false), true);
  assert.equal(isGrpcResponse(new ResponseHead(200, grpc), true), false);
  assert.equal(isGrpcResponse(new ResponseHead(503, grpc), false), false);
  assert.equal(isGrpcResponse(new ResponseHead(200, status), true), true);
  assert.equal(isGrpcResponse(new ResponseHead(200, status), false), false);
});

test("the status of a call is read from head or trailers", () => {
  assert.equal(grpcStatusOf(new HeaderMap(["grpc-status", "14"])), 14);
  assert.equal(grpcStatusOf(new HeaderMap(["grpc-status", "fourteen"])), -1);
  assert.equal(grpcStatusOf(new HeaderMap(["grpc-message", "14"])), undefined);
});

test("a path of two parts names service and method", () => {
  assert.deepEqual(grpcMethodOf("/shop.Cart/Add"), { service: "shop.Cart", method: "Add" });
  assert.deepEqual(grpcMethodOf("/shop.Cart/Add?x=/y"), { service: "shop.Cart", method: "Add" });
  for (const path of ["", "/", "/a", "/a/", "/a/b/c", "*", "/?/a/b"]) assert.equal(grpcMethodOf(path), undefined, path);
});
