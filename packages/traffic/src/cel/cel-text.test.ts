import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Json } from "@heddle/base";
import { celText } from "./cel-text.ts";

const ident = (name: string): Json => ({ identExpr: { name } });
const call = (name: string, ...args: Json[]): Json => ({ callExpr: { function: name, args } });
const text = (stringValue: string): Json => ({ constExpr: { stringValue } });

function refusal(expr: Json): string {
  const written = celText(expr);
  assert.ok(!written.ok);
  return written.error;
}

describe("a CEL syntax tree", () => {
  test("is written as the expression that it stands for", () => {
    const selected: Json = { selectExpr: { operand: ident("request"), field: "path" } };
    assert.deepEqual(celText(call("_==_", selected, text('"\n'))), { ok: true, value: '(request.path == "\\"\\n")' });
    assert.deepEqual(celText({ constExpr: { int64Value: "-5" } }), { ok: true, value: "(-5)" });
    assert.deepEqual(celText({ constExpr: { doubleValue: 2 } }), { ok: true, value: "(2.0)" });
    assert.deepEqual(celText({ constExpr: { bytesValue: "AP8=" } }), { ok: true, value: 'b"\\x00\\xff"' });
  });

  test("lets no name become more than a name", () => {
    for (const name of ["a b", "a)", "", "@result", "a.b", 'x"']) {
      assert.match(refusal(ident(name)), /needed is a name/);
      assert.match(refusal({ selectExpr: { operand: ident("a"), field: name } }), /needed is a name/);
      assert.match(refusal(call(name, ident("a"))), /needed is a name/);
    }
    assert.match(refusal({ constExpr: { int64Value: "1)||(true" } }), /integer/);
    assert.match(refusal({ constExpr: { doubleValue: "NaN" } }), /finite/);
  });

  test("is refused where it holds what has no text: other loops, messages, nothing", () => {
    const loop = {
      iterVar: "x",
      iterRange: { listExpr: {} },
      accuVar: "acc",
      accuInit: { constExpr: { int64Value: "0" } },
      loopCondition: { constExpr: { boolValue: true } },
      loopStep: call("_+_", ident("acc"), ident("x")),
      result: ident("acc"),
    };
    assert.match(refusal({ comprehensionExpr: loop }), /none of the standard macros/);
    assert.match(refusal({ structExpr: { messageName: "google.protobuf.Any" } }), /messages/);
    assert.match(refusal({}), /not known/);
    assert.match(refusal({ newExpr: {} }), /not known/);
    assert.match(refusal({ constExpr: {} }), /constant/);
  });

  test("is not read deeper than it may be", () => {
    let deep = ident("a");
    for (let i = 0; i < 10_000; i++) deep = call("!_", deep);
    assert.match(refusal(deep), /deeper than/);
  });
});
