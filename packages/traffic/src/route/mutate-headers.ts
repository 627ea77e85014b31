import type { HeaderMap } from "@heddle/http";
import { compileHeaderFormat, type HeaderFormat, type HeaderFormatContext } from "./header-format.ts";
import type { HeaderValueOption } from "./route-config.ts";

/** What one level (route, virtual host …) does to the headers of a request or of a response. */
export interface HeaderMutation {
  apply(headers: HeaderMap, context: HeaderFormatContext): void;
}

/**
 * Compiles the mutations of several levels into one list, which is applied in the order of `levels`. Within a level
 * Envoy removes, then overwrites, then adds. Levels without mutations leave nothing behind. Throws on a value that is no
 * format: decoding has checked it.
 */
export function compileHeaderMutations(levels: readonly HeaderMutationLevel[]): readonly HeaderMutation[] {
  return levels.flatMap(({ add, remove }) => [
    ...remove.map((name) => new RemoveHeader(name.toLowerCase())),
    ...add.filter(overwrites).map((option) => new SetHeader(option)),
    ...add.filter((option) => !overwrites(option)).map((option) => new SetHeader(option)),
  ]);
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

class SetHeader implements HeaderMutation {
  readonly #name: string;
  readonly #value: HeaderFormat;
  readonly #action: HeaderValueOption["appendAction"];
  readonly #keepEmpty: boolean;

  constructor(option: HeaderValueOption) {
    const value = compileHeaderFormat(option.value);
    if (!value.ok) throw new Error(value.error);
    this.#name = option.name.toLowerCase();
    this.#value = value.value;
    this.#action = option.appendAction;
    this.#keepEmpty = option.keepEmptyValue;
  }

  apply(headers: HeaderMap, context: HeaderFormatContext): void {
    const value = this.#value.format(context);
    if (value === "" && !this.#keepEmpty) return;
    switch (this.#action) {
      case "APPEND_IF_EXISTS_OR_ADD":
        headers.append(this.#name, value);
        return;
      case "ADD_IF_ABSENT":
        if (!headers.has(this.#name)) headers.append(this.#name, value);
        return;
      case "OVERWRITE_IF_EXISTS_OR_ADD":
        headers.set(this.#name, value);
        return;
      case "OVERWRITE_IF_EXISTS":
        if (headers.has(this.#name)) headers.set(this.#name, value);
        return;
      default:
        throw new Error(`unknown append action ${JSON.stringify(this.#action satisfies never)}`);
    }
  }
}
