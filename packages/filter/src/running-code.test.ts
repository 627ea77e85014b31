import assert from "node:assert/strict";
import { test } from "node:test";
import { ok } from "@heddle/base";
import { defineFilter, type HttpFilter } from "./http-filter.ts";
import { CODE_PHASES, CodePhase, codeOf, enterCode, leaveCode, readCode, watchRunningCode } from "./running-code.ts";
import { ScriptedExchange } from "./testing.ts";

test("the cell says which filter runs and in which phase, and nothing once it has returned or thrown", () => {
  const cells = new Int32Array(4);
  const names = new Map<number, string>();
  watchRunningCode(cells, 2, (id, name) => names.set(id, name));
  const seen: string[] = [];
  const look = (): "continue" => {
    const code = readCode(cells[2] ?? 0);
    seen.push(code === undefined ? "none" : `${names.get(code.id)} ${code.phase}`);
    return "continue";
  };
  const outer: HttpFilter = {
    requestHead: look,
    responseHead: look,
    log: () => void look(),
  };
  const inner: HttpFilter = {
    requestHead(exchange) {
      exchange.after(10, () => {
        look();
        exchange.continueRequest();
      });
      return "pause";
    },
    requestData: look,
    responseData: () => {
      look();
      throw new Error("broken");
    },
  };
  const filters = [outer, inner].map((filter) => ({
    filter: defineFilter({ parse: () => ok(undefined), create: () => ({ create: () => filter }) }),
  }));
  const exchange = new ScriptedExchange({ filters });
  exchange.sendHead("POST", "/");
  look();
  exchange.advance(10);
  exchange.sendData("x", true);
  exchange.sendResponseHead(200);
  exchange.sendResponseData("y");
  look();
  assert.deepEqual(seen, [
    "filter-1 requestHead",
    "none",
    "filter-2 callback",
    "filter-2 requestData",
    "filter-1 responseHead",
    "filter-2 responseData", // it throws before filter-1 sees the data
    "filter-1 log",
    "none",
  ]);
});

test("phases have the numbers of their names", () => {
  for (const [name, number] of Object.entries(CodePhase)) assert.equal(CODE_PHASES[number], name);
  const before = enterCode(codeOf("a") + CodePhase.log);
  assert.equal(before, 0);
  leaveCode(before);
});
