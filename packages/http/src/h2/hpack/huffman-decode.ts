import { CODE_LENGTHS, CODES, EOS } from "./huffman-code.ts";

/*
 * Decoding takes four bits a step. The states are the inner nodes of the code's tree, 0 its root; no code is shorter than five
 * bits, so a step ends at most one.
 */
const EMITS = 0x100;
const FAILS = 0x200;
/** By state and four bits: the symbol and `EMITS` if one has ended there, or `FAILS`. */
let steps: Uint16Array | undefined;
let nextStates: Uint16Array;
/** 1 where a string may end: the bits since the last symbol are fewer than eight, and all ones (RFC 7541 §5.2). */
let mayEnd: Uint8Array;

/** Room that any string of `length` coded bytes finds enough. */
export function decodedRoom(length: number): number {
  return Math.ceil((length * 8) / 5);
}

/**
 * Decodes `bytes` from `at` to `end` into `into`, which has `decodedRoom`. The number of bytes, or -1: EOS within the string,
 * padding of more than seven bits or of other bits than EOS has (RFC 7541 §5.2).
 */
export function decodeHuffman(bytes: Uint8Array, at: number, end: number, into: Uint8Array): number {
  if (steps === undefined) build();
  const table = steps!; // built above
  let state = 0;
  let length = 0;
  for (let i = at; i < end; i++) {
    const byte = bytes[i]!; // below the end
    let step = (state << 4) | (byte >> 4);
    let found = table[step]!; // every state has sixteen
    state = nextStates[step]!;
    if (found >= EMITS) {
      if (found >= FAILS) return -1;
      into[length++] = found;
    }
    step = (state << 4) | (byte & 0xf);
    found = table[step]!;
    state = nextStates[step]!;
    if (found >= EMITS) {
      if (found >= FAILS) return -1;
      into[length++] = found;
    }
  }
  return mayEnd[state] === 1 ? length : -1;
}

interface Node {
  readonly state: number;
  readonly depth: number;
  /** Reached by ones alone. */
  readonly ones: boolean;
  readonly branches: (Node | number | undefined)[];
}

function build(): void {
  const nodes: Node[] = [];
  const add = (depth: number, ones: boolean): Node => {
    const node = { state: nodes.length, depth, ones, branches: [undefined, undefined] };
    nodes.push(node);
    return node;
  };
  const root = add(0, true);
  for (let symbol = 0; symbol <= EOS; symbol++) {
    const length = CODE_LENGTHS[symbol]!;
    let node = root;
    for (let bit = length - 1; bit > 0; bit--) {
      const branch = (CODES[symbol]! >>> bit) & 1;
      let next = node.branches[branch];
      if (typeof next !== "object") {
        next = add(node.depth + 1, node.ones && branch === 1);
        node.branches[branch] = next;
      }
      node = next;
    }
    node.branches[CODES[symbol]! & 1] = symbol;
  }
  steps = new Uint16Array(nodes.length * 16);
  nextStates = new Uint16Array(nodes.length * 16);
  mayEnd = new Uint8Array(nodes.length);
  for (const from of nodes) {
    mayEnd[from.state] = from.depth < 8 && from.ones ? 1 : 0;
    for (let bits = 0; bits < 16; bits++) {
      let node = from;
      let found = 0;
      for (let bit = 3; bit >= 0; bit--) {
        const next = node.branches[(bits >> bit) & 1];
        if (typeof next === "object") node = next;
        else {
          // The tree is complete: what is no node is a symbol.
          found = next === EOS ? FAILS : EMITS | next!;
          node = root;
          if (found === FAILS) break;
        }
      }
      const step = (from.state << 4) | bits;
      steps[step] = found;
      nextStates[step] = node.state;
    }
  }
}
