import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { DemandBook } from "./demand-book.ts";

test("a name is asked for, and kept once it has come", () => {
  const book = new DemandBook(new ManualClock());
  assert.deepEqual([book.ask("a"), book.ask("a")], ["asked", "asked"]);
  assert.deepEqual([[...book.names], [...book.pending]], [["a"], ["a"]]);
  book.found("a");
  assert.deepEqual([[...book.names], [...book.pending]], [["a"], []]);
});

test("a name that does not exist is let go, and answered from memory for 10 s", () => {
  const clock = new ManualClock();
  const book = new DemandBook(clock);
  book.ask("a");
  book.absent("a");
  book.absent("nobody's");
  assert.deepEqual([[...book.names], book.pending.size], [[], 0]);
  clock.advance(9_999);
  assert.equal(book.ask("a"), "answered");
  clock.advance(1);
  assert.equal(book.ask("a"), "asked");
});

test("names at random fill neither what is asked for nor what is remembered", () => {
  const clock = new ManualClock();
  const book = new DemandBook(clock);
  for (let i = 0; i < 2000; i++) assert.equal(book.ask(`there ${i}`), i < 1000 ? "asked" : "answered");
  assert.equal(book.names.size, 1000);
  for (let i = 0; i < 1000; i++) book.absent(`there ${i}`);
  for (let i = 0; i < 1000; i++) {
    book.ask(`later ${i}`);
    book.absent(`later ${i}`);
  }
  assert.equal(book.ask("there 0"), "asked", "forgotten for the sake of later ones");
  assert.equal(book.ask("later 999"), "answered");
});

test("what belongs to something that is gone is forgotten", () => {
  const book = new DemandBook(new ManualClock());
  book.ask("x/1");
  book.ask("y/1");
  book.forget((name) => name.startsWith("x/"));
  assert.deepEqual([[...book.names], [...book.pending]], [["y/1"], ["y/1"]]);
});
