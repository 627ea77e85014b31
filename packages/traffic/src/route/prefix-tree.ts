/**
 * Prefixes, found by the string that begins with them: a radix tree, whose edges hold as many characters as they can.
 *
 *     "/"   "/api/"   "/api/users"   "/about"          "/" ── "a" ─┬─ "pi/" ── "users"
 *                                                                  └─ "bout"
 *
 * A node that ends prefixes holds the sorted numbers of all that end there or above it, so that one descent gives every
 * prefix of a string. That costs a number per pair of nested prefixes, and configurations nest a handful deep.
 */
export class PrefixTree {
  readonly #root = makeNode("");

  /** Numbers are given in rising order; a prefix may have several. Call `seal` after the last. */
  add(prefix: string, number: number): void {
    let node = this.#root;
    let rest = prefix;
    while (rest !== "") {
      const child = node.children.get(rest.charCodeAt(0));
      if (child === undefined) {
        const leaf = makeNode(rest);
        node.children.set(rest.charCodeAt(0), leaf);
        node = leaf;
        break;
      }
      const shared = sharedLength(child.label, rest);
      node = shared === child.label.length ? child : split(node, child, shared);
      rest = rest.slice(shared);
    }
    node.own.push(number);
  }

  seal(): void {
    seal(this.#root, NONE);
  }

  /** The numbers of all prefixes of `text`, sorted. Allocates nothing; the caller does not change the list. */
  find(text: string): readonly number[] {
    let node = this.#root;
    let at = 0;
    while (at < text.length) {
      // Most have none or one, and to look one up in a map begins with hashing it.
      const child = node.only ?? (node.children.size > 1 ? node.children.get(text.charCodeAt(at)) : undefined);
      if (child === undefined || !begins(text, child.label, at)) break;
      at += child.label.length;
      node = child;
    }
    return node.all;
  }
}

interface Node {
  label: string;
  readonly children: Map<number, Node>;
  /** The child, where there is one alone. */
  only: Node | undefined;
  readonly own: number[];
  all: readonly number[];
}

const NONE: readonly number[] = [];

function makeNode(label: string): Node {
  return { label, children: new Map(), only: undefined, own: [], all: NONE };
}

/** A label of one character is compared in place: "/" is where most trees begin. */
function begins(text: string, label: string, at: number): boolean {
  return text.charCodeAt(at) === label.charCodeAt(0) && (label.length === 1 || text.startsWith(label, at));
}

function sharedLength(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let i = 0;
  while (i < end && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

/** Puts a node at `length` characters into the edge that leads to `child`. */
function split(parent: Node, child: Node, length: number): Node {
  const middle = makeNode(child.label.slice(0, length));
  parent.children.set(middle.label.charCodeAt(0), middle);
  child.label = child.label.slice(length);
  middle.children.set(child.label.charCodeAt(0), child);
  return middle;
}

function seal(node: Node, above: readonly number[]): void {
  node.all = node.own.length === 0 ? above : [...above, ...node.own].sort((a, b) => a - b);
  for (const child of node.children.values()) seal(child, node.all);
  if (node.children.size === 1) [node.only] = node.children.values();
}
