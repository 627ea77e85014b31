import {
  decodeMessage,
  describeMessage,
  durationToMs,
  type FieldDescription,
  fieldOf,
  isKnownType,
  type Message,
  structToJson,
  toNumber,
  typeNameOf,
  unknownFields,
} from "@heddle/proto";
import { type FieldClass, type FieldRule, HONOURED } from "./honoured.ts";
import type { FieldReport } from "./resource-type.ts";

/**
 * Refuses and reports what a message holds, and all that lies in it, as the table says. For who reads it otherwise: out of
 * JSON, where a field that nobody knows is not seen. A message that the table does not have is passed over.
 */
export function checkClasses(typeName: string, message: Message, path: string, findings: Findings): void {
  if (HONOURED[typeName] === undefined) return;
  new Fields(typeName, message, path, findings);
  for (const { name, label, messageType } of describeMessage(typeName).values()) {
    const value = messageType === undefined ? undefined : fieldOf(message, name);
    if (messageType === undefined || value === undefined) continue;
    for (const [inner, at] of messagesIn(value, label, path === "" ? name : `${path}.${name}`)) {
      if (messageType === ANY) checkAny(inner, at, findings);
      else checkClasses(messageType, inner, at, findings);
    }
  }
}

const ANY = "google.protobuf.Any";

/** What cannot be opened is for its reader to refuse. */
function checkAny(any: Message, path: string, findings: Findings): void {
  const type = typeNameOf((fieldOf(any, "type_url") ?? "") as string);
  if (HONOURED[type] === undefined || !isKnownType(type)) return;
  const decoded = decodeMessage(type, (fieldOf(any, "value") ?? new Uint8Array()) as Uint8Array);
  if (decoded.ok) checkClasses(type, decoded.value, path, findings);
}

function messagesIn(
  value: unknown,
  label: FieldDescription["label"],
  path: string,
): readonly (readonly [message: Message, path: string])[] {
  switch (label) {
    case "single":
      return [[value as Message, path]];
    case "repeated":
      return (value as readonly Message[]).map((item, index) => [item, `${path}[${index}]`] as const);
    case "map":
      return Object.entries(value as { readonly [key: string]: Message }).map(
        ([key, item]) => [item, `${path}[${JSON.stringify(key)}]`] as const,
      );
    default:
      throw new Error(`unknown label ${JSON.stringify(label satisfies never)}`);
  }
}

/** What was found while one resource was read. */
export class Findings {
  readonly #errors = new Set<string>();
  readonly unhonoured: FieldReport[] = [];
  readonly #reportedOnce = new Set<string>();

  /** Begins with these errors, each of which starts with its path: what `validate` says. */
  static of(errors: readonly string[]): Findings {
    const findings = new Findings();
    for (const error of errors) findings.#errors.add(error);
    return findings;
  }

  /** Each once: `validate` and the reading may say the same. */
  get errors(): readonly string[] {
    return [...this.#errors];
  }

  get errorCount(): number {
    return this.#errors.size;
  }

  error(path: string, message: string): void {
    this.#errors.add(`${path}: ${message}`);
  }

  report(path: string, note: string): void {
    this.unhonoured.push({ path, note });
  }

  /** The same for what may stand in thousands of places: only the first with that key counts. */
  reportOnce(key: string, path: string, note: string): void {
    if (this.#reportedOnce.has(key)) return;
    this.#reportedOnce.add(key);
    this.report(path, note);
  }
}

/**
 * Reads the fields of one decoded message. As soon as it is made, what is set and not honoured has been refused or
 * reported, by the table in honoured.ts; a field that the table calls neither honoured nor kept cannot be read at all. So nothing
 * is ignored in silence, and the table cannot drift from the code.
 *
 * Every reader gives the proto's default for what is not set, and goes on after an error: all of them are wanted.
 */
export class Fields {
  readonly typeName: string;
  /** Of this message within the resource: "filter_chains[0].filters[1]"; "" is the resource itself. */
  readonly path: string;
  readonly findings: Findings;
  readonly #message: Message;
  readonly #rules: CompiledRules;

  constructor(typeName: string, message: Message, path: string, findings: Findings) {
    this.typeName = typeName;
    this.path = path;
    this.findings = findings;
    this.#message = message;
    this.#rules = rulesOf(typeName);
    this.#checkClasses();
  }

  at(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  /** An error at that field; "" is the message itself. */
  fail(name: string, message: string): void {
    this.findings.error(name === "" ? this.path : this.at(name), message);
  }

  report(name: string, note: string): void {
    this.findings.report(this.at(name), note);
  }

  /** Nothing is set in it. */
  get isEmpty(): boolean {
    return Object.keys(this.#message).every((name) => fieldOf(this.#message, name) === undefined);
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  text(name: string): string {
    return (this.#get(name) ?? "") as string;
  }

  flag(name: string): boolean {
    return (this.#get(name) ?? false) as boolean;
  }

  number(name: string): number {
    return toNumber(this.#get(name) ?? 0);
  }

  bytes(name: string): Uint8Array | undefined {
    return this.#get(name) as Uint8Array | undefined;
  }

  texts(name: string): readonly string[] {
    return (this.#get(name) ?? []) as readonly string[];
  }

  numbers(name: string): readonly number[] {
    return ((this.#get(name) ?? []) as readonly unknown[]).map(toNumber);
  }

  /** A `google.protobuf.UInt32Value` or another wrapper of a number. */
  wrappedNumber<Default extends number | undefined>(name: string, unset: Default): number | Default {
    const wrapper = this.#get(name) as Message | undefined;
    return wrapper === undefined ? unset : toNumber(fieldOf(wrapper, "value") ?? 0);
  }

  /** A `google.protobuf.BoolValue`. */
  wrappedFlag<Default extends boolean | undefined>(name: string, unset: Default): boolean | Default {
    const wrapper = this.#get(name) as Message | undefined;
    return wrapper === undefined ? unset : ((fieldOf(wrapper, "value") ?? false) as boolean);
  }

  /** A `google.protobuf.Duration`. */
  durationMs<Default extends number | undefined>(name: string, unset: Default): number | Default {
    const duration = this.#get(name) as Message | undefined;
    if (duration === undefined) return unset;
    const ms = durationToMs(duration);
    if (ms < 0) this.fail(name, `found ${ms / 1000}s, allowed are durations that are not negative`);
    return ms;
  }

  /** A `google.protobuf.Struct` as the object that it stands for. */
  struct(name: string): ReturnType<typeof structToJson> | undefined {
    const struct = this.#get(name) as Message | undefined;
    return struct && structToJson(struct);
  }

  /** The name of an enum's value; that of 0 where the field is not set or holds a number that has no name. */
  enumName(name: string): string {
    const names = this.#describe(name).enumNames;
    const number = (this.#get(name) ?? 0) as number;
    return names?.get(number) ?? names?.get(0) ?? "";
  }

  message(name: string): Fields | undefined {
    const message = this.#get(name) as Message | undefined;
    return message && new Fields(this.#messageType(name), message, this.at(name), this.findings);
  }

  messages(name: string): readonly Fields[] {
    const messages = (this.#get(name) ?? []) as readonly Message[];
    const type = this.#messageType(name);
    return messages.map((message, index) => new Fields(type, message, `${this.at(name)}[${index}]`, this.findings));
  }

  /** A message as it was decoded, for those who read it themselves (an Any). */
  raw(name: string): Message | undefined {
    return this.#get(name) as Message | undefined;
  }

  /** A map of messages, sorted by key. */
  rawMap(name: string): readonly (readonly [key: string, value: Message, path: string])[] {
    return Object.entries((this.#get(name) ?? {}) as { readonly [key: string]: Message })
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => [key, value, `${this.at(name)}[${JSON.stringify(key)}]`] as const);
  }

  #get(name: string): unknown {
    if (this.#rules.fields.get(name)?.readable !== true) {
      throw new Error(`${this.typeName}.${name} is read and stands neither as honoured nor as kept in honoured.ts`);
    }
    return fieldOf(this.#message, name);
  }

  #describe(name: string): FieldDescription {
    return describeMessage(this.typeName).get(name)!; // the test of honoured.ts fails on a name that does not exist
  }

  #messageType(name: string): string {
    const type = this.#describe(name).messageType;
    if (type === undefined) throw new Error(`${this.typeName}.${name} holds no message`);
    return type;
  }

  #checkClasses(): void {
    for (const name of Object.keys(this.#message)) {
      const rule = this.#rules.fields.get(name);
      if (rule === undefined || rule.class === "honoured" || !this.#isSet(name, rule)) continue;
      if (rule.class === "refused") this.fail(name, rule.note);
      else if (rule.once) this.findings.reportOnce(`${this.typeName}.${name}`, this.at(name), rule.note);
      else this.report(name, rule.note);
    }
    for (const number of unknownFields(this.#message)) {
      const message = `a field that this version does not know (number ${number} of ${this.typeName})`;
      if (this.#rules.unknownFields === "refused") this.fail(`<${number}>`, message);
      else this.report(`<${number}>`, message);
    }
  }

  #isSet(name: string, rule: CompiledRule): boolean {
    const value = fieldOf(this.#message, name);
    if (value === undefined) return false;
    if (rule.isMap && Object.keys(value as object).length === 0) return false;
    const plain = rule.isWrapper ? (fieldOf(value as Message, "value") ?? false) : value;
    return rule.unless === undefined || plain !== rule.unless;
  }
}

interface CompiledRule {
  readonly class: FieldClass;
  readonly note: string;
  readonly unless: boolean | number | string | undefined;
  readonly readable: boolean;
  readonly once: boolean;
  readonly isMap: boolean;
  readonly isWrapper: boolean;
}

interface CompiledRules {
  readonly fields: ReadonlyMap<string, CompiledRule>;
  readonly unknownFields: "refused" | "reported";
}

const compiled = new Map<string, CompiledRules>();

function rulesOf(typeName: string): CompiledRules {
  let rules = compiled.get(typeName);
  if (rules === undefined) {
    rules = compileRules(typeName);
    compiled.set(typeName, rules);
  }
  return rules;
}

function compileRules(typeName: string): CompiledRules {
  const rules = HONOURED[typeName];
  if (rules === undefined) throw new Error(`${typeName} is read and does not stand in honoured.ts`);
  const descriptions = describeMessage(typeName);
  const compile = (name: string, fieldClass: FieldClass, rule: FieldRule): readonly [string, CompiledRule] => {
    const description = descriptions.get(name);
    const { note, unless, kept = false, once = false } = typeof rule === "string" ? { note: rule } : rule;
    const readable = kept || fieldClass === "honoured";
    const isWrapper = description?.messageType?.startsWith("google.protobuf.") === true && unless !== undefined;
    const isMap = description?.label === "map";
    return [name, { class: fieldClass, note, unless, readable, once, isMap, isWrapper }];
  };
  const honoured = rules.honoured.split(/\s+/).filter(Boolean);
  return {
    fields: new Map([
      ...honoured.map((name) => compile(name, "honoured", "")),
      ...Object.entries(rules.refused ?? {}).map(([name, rule]) => compile(name, "refused", rule)),
      ...Object.entries(rules.reported ?? {}).map(([name, rule]) => compile(name, "reported", rule)),
    ]),
    unknownFields: rules.unknownFields ?? "reported",
  };
}
