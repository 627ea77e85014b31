import type { HeaderMap } from "@heddle/http";
import { compileHeaderFormat, type HeaderFormat, type HeaderFormatContext } from "./header-format.ts";
import type { HeaderValueOption } from "./route-config.ts";

/** What one level (route, virtual host …) does to the headers of a request or of a response. */
export interface HeaderMutation {
  apply(headers: HeaderMap, context: HeaderFormatContext): void;
}

/**
 * Compiles the mutations of several levels into one list, which is applied in the order of `levels`. Within a level
 * Envoy removes, then looks at what is there (for conditions and values), then overwrites, then adds. Levels without
 * mutations leave nothing behind. Throws on a value that is no format: decoding has checked it.
 */
export function compileHeaderMutations(levels: readonly HeaderMutationLevel[]): readonly HeaderMutation[] {
  return levels.flatMap(({ add, remove }) => {
    const removed = remove.map((name) => new RemoveHeader(name.toLowerCase()));
    const set = [...add.filter(overwrites), ...add.filter((option) => !overwrites(option))].map(
      (option) => new SetHeader(option),
    );
    return [...removed, ...(mayMeet(set) ? [new SetTogether(set)] : set)];
  });
}

/** Whether one of a level's may see, in a condition or a value, what another one has done. */
function mayMeet(set: readonly SetHeader[]): boolean {
  if (set.length < 2) return false;
  return set.some(({ isConstant }) => !isConstant) || new Set(set.map(({ name }) => name)).size < set.length;
}

export interface HeaderMutationLevel {
  readonly add: readonly HeaderValueOption[];
  readonly remove: readonly string[];
}

function overwrites({ appendAction }: HeaderValueOption): boolean {
  return appendAction === "OVERWRITE_IF_EXISTS_OR_ADD" || appendAction === "OVERWRITE_IF_EXISTS";
}

class RemoveHeader implements HeaderMutation {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  apply(headers: HeaderMap): void {
    headers.remove(this.#name);
  }
}

/** Those of a level, each of which sees what was there before any of them. */
class SetTogether implements HeaderMutation {
  readonly #set: readonly SetHeader[];

  constructor(set: readonly SetHeader[]) {
    this.#set = set;
  }

  apply(headers: HeaderMap, context: HeaderFormatContext): void {
    const values = this.#set.map((one) => one.valueFor(headers, context));
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value !== undefined) this.#set[i]!.put(headers, value); // as many as values
    }
  }
}

class SetHeader implements HeaderMutation {
  readonly name: string;
  readonly isConstant: boolean;
  readonly #value: HeaderFormat;
  readonly #action: HeaderValueOption["appendAction"];
  readonly #keepEmpty: boolean;

  constructor(option: HeaderValueOption) {
    const value = compileHeaderFormat(option.value);
    if (!value.ok) throw new Error(value.error);
    this.name = option.name.toLowerCase();
    this.isConstant = value.value.isConstant;
    this.#value = value.value;
    this.#action = option.appendAction;
    this.#keepEmpty = option.keepEmptyValue;
  }

  apply(headers: HeaderMap, context: HeaderFormatContext): void {
    const value = this.valueFor(headers, context);
    if (value !== undefined) this.put(headers, value);
  }

  /** Undefined: nothing is to be done. */
  valueFor(headers: HeaderMap, context: HeaderFormatContext): string | undefined {
    if (this.#action === "ADD_IF_ABSENT" && headers.has(this.name)) return undefined;
    if (this.#action === "OVERWRITE_IF_EXISTS" && !headers.has(this.name)) return undefined;
    const value = this.#value.format(context);
    return value === "" && !this.#keepEmpty ? undefined : value;
  }

  put(headers: HeaderMap, value: string): void {
    switch (this.#action) {
      case "APPEND_IF_EXISTS_OR_ADD":
      case "ADD_IF_ABSENT":
        headers.append(this.name, value);
        return;
      case "OVERWRITE_IF_EXISTS_OR_ADD":
      case "OVERWRITE_IF_EXISTS":
        headers.set(this.name, value);
        return;
      default:
        throw new Error(`unknown append action ${JSON.stringify(this.#action satisfies never)}`);
    }
  }
}
