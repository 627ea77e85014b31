import protobuf from "protobufjs/light.js";
import { fieldOf, type Message } from "./message.ts";
import { typeOf } from "./registry.ts";
import { checkRules, isRequired, type Rules } from "./rules.ts";

/**
 * Everything that a message's `validate.rules` say against it: "filter_chains[0].filters[1].name: is empty, …". Follows
 * messages in messages, but not into an Any: who decodes that validates it.
 */
export function validate(typeName: string, message: Message): string[] {
  const problems: string[] = [];
  validateMessage(planOf(typeOf(typeName)), message, "", problems);
  return problems;
}

/** What has to be looked at in a message of one type, found once. */
interface Plan {
  readonly fields: readonly FieldPlan[];
  /** Oneofs of which one member must be set. */
  readonly requiredOneofs: readonly protobuf.OneOf[];
}

interface FieldPlan {
  readonly name: string;
  readonly rules: Rules | undefined;
  readonly kind: "scalar" | "repeated" | "map" | "message";
  /** Of a plain scalar: its value where it is not set, which the rules apply to as well. */
  readonly implicitDefault: unknown;
  readonly itemRules: Rules | undefined;
  readonly keyRules: Rules | undefined;
  readonly definedValues: ReadonlySet<number> | undefined;
  readonly message: protobuf.Type | undefined;
  /** `google.protobuf.UInt32Value` and the like: the rules are of what it holds. */
  readonly wrapper: boolean;
  /** Which member of a oneof is set is the oneof's own matter. */
  readonly inOneof: boolean;
  /** The message has rules of its own. */
  readonly descend: boolean;
}

const plans = new WeakMap<protobuf.Type, Plan>();

function planOf(type: protobuf.Type): Plan {
  let plan = plans.get(type);
  if (plan === undefined) {
    plan = {
      fields: type.fieldsArray.map(toFieldPlan),
      requiredOneofs: type.oneofsArray.filter((oneof) => oneof.options?.["required"] === true),
    };
    plans.set(type, plan);
  }
  return plan;
}

function toFieldPlan(field: protobuf.Field): FieldPlan {
  field.resolve();
  const rules = field.options?.["rules"] as Rules | undefined;
  const kind =
    field instanceof protobuf.MapField
      ? "map"
      : field.repeated
        ? "repeated"
        : field.resolvedType instanceof protobuf.Type
          ? "message"
          : "scalar";
  const itemRules = (rules?.["repeated"]?.["items"] ?? rules?.["map"]?.["values"]) as Rules | undefined;
  const ofEnum = rules?.["enum"] ?? itemRules?.["enum"];
  const message = field.resolvedType instanceof protobuf.Type ? field.resolvedType : undefined;
  return {
    name: field.name,
    rules,
    kind,
    implicitDefault: kind === "scalar" && field.partOf === null ? field.typeDefault : undefined,
    itemRules,
    keyRules: rules?.["map"]?.["keys"] as Rules | undefined,
    definedValues:
      ofEnum?.["defined_only"] === true && field.resolvedType instanceof protobuf.Enum
        ? new Set(Object.values(field.resolvedType.values))
        : undefined,
    message,
    inOneof: field.partOf !== null,
    wrapper: message !== undefined && WRAPPER.test(message.fullName),
    descend: message !== undefined && !message.fullName.startsWith(".google.protobuf."),
  };
}

function validateMessage(plan: Plan, message: Message, prefix: string, problems: string[]): void {
  for (const oneof of plan.requiredOneofs) {
    if (oneof.oneof.some((name) => fieldOf(message, name) !== undefined)) continue;
    problems.push(`${prefix}${oneof.oneof.length === 1 ? oneof.oneof[0] : oneof.name}: ${requiredText(oneof)}`);
  }
  for (const field of plan.fields) {
    const set = fieldOf(message, field.name);
    const path = prefix + field.name;
    switch (field.kind) {
      case "scalar":
        validateValue(field, field.rules, set ?? field.implicitDefault, path, problems);
        break;
      case "message":
        if (set === undefined || set === null) {
          if (isRequired(field.rules) && !field.inOneof) problems.push(`${path}: must be set`);
        } else validateValue(field, field.rules, set, path, problems);
        break;
      case "repeated":
        validateRepeated(field, (set ?? []) as unknown[], path, problems);
        break;
      case "map":
        validateMap(field, (set ?? {}) as { readonly [key: string]: unknown }, path, problems);
    }
  }
}

function requiredText(oneof: protobuf.OneOf): string {
  return oneof.oneof.length === 1 ? "must be set" : `one must be set of ${oneof.oneof.join(", ")}`;
}

function validateRepeated(field: FieldPlan, items: readonly unknown[], path: string, problems: string[]): void {
  if (field.rules !== undefined) report(checkRules(field.rules, items), path, problems);
  if (field.itemRules === undefined && !field.descend && field.definedValues === undefined) return;
  for (const [index, item] of items.entries()) {
    validateValue(field, field.itemRules, item, `${path}[${index}]`, problems);
  }
}

function validateMap(
  field: FieldPlan,
  entries: { readonly [key: string]: unknown },
  path: string,
  problems: string[],
): void {
  if (field.rules !== undefined) report(checkRules(field.rules, entries), path, problems);
  for (const [key, value] of Object.entries(entries)) {
    const entryPath = `${path}[${JSON.stringify(key)}]`;
    if (field.keyRules !== undefined) report(checkRules(field.keyRules, key), `${entryPath} (key)`, problems);
    validateValue(field, field.itemRules, value, entryPath, problems);
  }
}

function validateValue(
  field: FieldPlan,
  rules: Rules | undefined,
  value: unknown,
  path: string,
  problems: string[],
): void {
  if (value === undefined || value === null) return; // a member of a oneof that is not set
  if (field.definedValues !== undefined && !field.definedValues.has(value as number)) {
    problems.push(`${path}: found ${value}, which is no value of the enum`);
  }
  if (field.message === undefined) {
    if (rules !== undefined) report(checkRules(rules, value), path, problems);
    return;
  }
  if (rules !== undefined) {
    report(checkRules(rules, field.wrapper ? wrappedValue(field.message, value as Message) : value), path, problems);
  }
  if (field.descend) validateMessage(planOf(field.message), value as Message, `${path}.`, problems);
}

const WRAPPER = /^\.google\.protobuf\.(Bool|U?Int(32|64)|Float|Double|String|Bytes)Value$/;

function wrappedValue(type: protobuf.Type, message: Message): unknown {
  return fieldOf(message, "value") ?? type.fields["value"]?.typeDefault;
}

function report(found: readonly string[], path: string, problems: string[]): void {
  for (const problem of found) problems.push(`${path}: ${problem}`);
}
