import protobuf from "protobufjs/light.js";

/** A list of declarations, as generate.ts writes it. */
export interface Descriptor {
  /** Names that it may have. */
  readonly packages: RegExp;
  readonly text: string;
}

type Declared = protobuf.Type | protobuf.Enum;

/** Nothing that is declared has a longer name; names come from elsewhere, and a long one costs its length for each of its dots. */
export const LONGEST_NAME = 256;

/** Of protobufjs 8: what a type of another edition means by a field; `resolveAll` does the same, and makes all types that fields name. */
interface FeatureHolder {
  readonly _edition: string;
  _resolveFeaturesRecursive(edition: string): void;
}

/**
 * Messages and enums by their full names. A declaration is read, with what is nested in it, when its name is asked for; a message's
 * coder is made when it is first used, and until then what its fields name is not even looked up. A sidecar that follows a control plane
 * uses a third of what is declared: reading all of it would be a seventh of what its control thread takes to start.
 */
export class DeclaredTypes {
  readonly #descriptors: readonly (Descriptor & { declarations?: Map<string, string> })[];
  readonly #root: protobuf.Root;
  readonly #made = new Map<string, Declared>();

  /** @param descriptors looked at in this order; none refers to a later one */
  constructor(descriptors: readonly Descriptor[]) {
    this.#descriptors = descriptors.map((descriptor) => ({ ...descriptor }));
    this.#root = new LookupRoot((name) => this.find(name));
  }

  find(fullName: string): Declared | undefined {
    const made = this.#made.get(fullName);
    if (made !== undefined || fullName.length > LONGEST_NAME) return made;
    // It may be nested in another one.
    for (let end = fullName.length; end > 0; end = fullName.lastIndexOf(".", end - 1)) {
      const name = fullName.slice(0, end);
      const json = this.#take(name);
      if (json === undefined) continue;
      this.#make(name, json);
      return this.#made.get(fullName);
    }
    return undefined;
  }

  /** The declaration of that name, once. */
  #take(name: string): string | undefined {
    for (const descriptor of this.#descriptors) {
      if (!descriptor.packages.test(name)) continue;
      descriptor.declarations ??= declarationsIn(descriptor.text);
      const json = descriptor.declarations.get(name);
      if (json === undefined) continue;
      descriptor.declarations.delete(name);
      return json;
    }
    return undefined;
  }

  #make(name: string, json: string): void {
    const dot = name.lastIndexOf(".");
    const own = name.slice(dot + 1);
    const namespace = this.#root.define(name.slice(0, dot));
    namespace.addJSON({ [own]: JSON.parse(json) });
    this.#keep(namespace.get(own)!);
  }

  #keep(object: protobuf.ReflectionObject): void {
    const holder = object as unknown as FeatureHolder;
    holder._resolveFeaturesRecursive(holder._edition);
    if (object instanceof protobuf.Type || object instanceof protobuf.Enum) {
      this.#made.set(object.fullName.slice(1), object);
    }
    if (object instanceof protobuf.Type) codeWhenUsed(object);
    if (object instanceof protobuf.Namespace || object instanceof protobuf.Type) {
      for (const nested of object.nestedArray) this.#keep(nested);
    }
  }
}

/** What fields name is a full name, which protobufjs has its root look up. */
class LookupRoot extends protobuf.Root {
  readonly #find: (fullName: string) => Declared | undefined;

  constructor(find: (fullName: string) => Declared | undefined) {
    super();
    this.#find = find;
  }

  override lookup(path: string | string[]): protobuf.ReflectionObject | null {
    return this.#find(typeof path === "string" ? path : path.join(".")) ?? null;
  }
}

/** Lines of a name, a space and JSON. */
function declarationsIn(text: string): Map<string, string> {
  const declarations = new Map<string, string>();
  for (let start = 0; start < text.length; ) {
    const space = text.indexOf(" ", start);
    const end = text.indexOf("\n", space);
    declarations.set(text.slice(start, space), text.slice(space + 1, end));
    start = end + 1;
  }
  return declarations;
}

/** By itself protobufjs makes an encoder, a decoder and three converters as soon as one of them is used. */
function codeWhenUsed(type: protobuf.Type): void {
  const { Reader, Writer, util } = protobuf;
  const typesOfFields = (): (protobuf.ReflectionObject | null)[] =>
    type.fieldsArray.map((field) => field.resolve().resolvedType);
  type.encode = (...message) => {
    type.encode = protobuf.encoder(type)({ Writer, types: typesOfFields(), util }) as typeof type.encode;
    return type.encode(...message);
  };
  type.decode = (...bytes) => {
    const types = typesOfFields();
    type.decode = protobuf.decoder(type)({ Reader, types, util, C: type.ctor }) as typeof type.decode;
    return type.decode(...bytes);
  };
}
