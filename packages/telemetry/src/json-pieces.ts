import type { Json } from "@heddle/base";

/*
 * JSON that is written while it is made, for what is too large to be held as a whole. The text is that of
 * `JSON.stringify(json, null, 1)`. An empty piece is a place to pause.
 */

/** A list whose items are made when they are written; `undefined` is no item but a place to pause. */
export class JsonItems {
  readonly items: Iterable<StreamedJson | undefined>;

  constructor(items: Iterable<StreamedJson | undefined>) {
    this.items = items;
  }
}

/** An object whose fields are streamed. */
export class JsonFields {
  readonly fields: Iterable<readonly [name: string, value: StreamedJson]>;

  constructor(fields: Iterable<readonly [name: string, value: StreamedJson]>) {
    this.fields = fields;
  }
}

export type StreamedJson = Json | JsonItems | JsonFields;

/** `newLine`: a line break and the indentation of the value itself. */
export function* jsonPieces(value: StreamedJson, newLine = "\n"): Generator<string> {
  const inner = `${newLine} `;
  if (value instanceof JsonItems) {
    let before = `[${inner}`;
    for (const item of value.items) {
      if (item === undefined) {
        yield "";
        continue;
      }
      yield before;
      yield* jsonPieces(item, inner);
      before = `,${inner}`;
    }
    yield before.startsWith("[") ? "[]" : `${newLine}]`;
  } else if (value instanceof JsonFields) {
    let before = `{${inner}`;
    for (const [name, field] of value.fields) {
      yield `${before}${JSON.stringify(name)}: `;
      yield* jsonPieces(field, inner);
      before = `,${inner}`;
    }
    yield before.startsWith("{") ? "{}" : `${newLine}}`;
  } else {
    const text = JSON.stringify(value, null, 1);
    yield newLine === "\n" ? text : text.replaceAll("\n", newLine); // within strings a line break is "\\n"
  }
}
