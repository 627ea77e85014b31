import protobuf from "protobufjs/light.js";
import { fieldOf, type Message, unknownFields } from "./message.ts";
import { typeOf } from "./registry.ts";
import { compileRules, isRequired, type RuleCheck, type Rules } from "./rules.ts";

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
  readonly checks: readonly RuleCheck[];
  readonly required: boolean;
  readonly kind: "scalar" | "repeated" | "map" | "message";
  /** Of a plain scalar: its value where it is not set, which the rules apply to as well. */
  readonly implicitDefault: unknown;
  readonly itemChecks: readonly RuleCheck[];
  readonly keyChecks: readonly RuleCheck[];
  readonly definedValues: ReadonlySet<number> | undefined;
  readonly message: protobuf.Type | undefined;
  /** `google.protobuf.UInt32Value` and the like: the rules are of what it holds. */
  readonly wrapper: boolean;
  /** The message has rules of its own. */
  readonly descend: boolean;
}

const plans = new WeakMap<protobuf.Type, Plan>();

function planOf(type: protobuf.Type): Plan {
  let plan = plans.get(type);
  if (plan === undefined) {
    plan = {
      fields: type.fieldsArray.map(toFieldPlan).filter(hasWork),
      requiredOneofs: type.oneofsArray.filter((oneof) => oneof.options?.["required"] === true),
    };
    plans.set(type, plan);
  }
  return plan;
}

function hasWork(field: FieldPlan): boolean {
  const checks = field.checks.length + field.itemChecks.length + field.keyChecks.length;
  return checks > 0 || field.required || field.descend || field.definedValues !== undefined;
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
    checks: compileRules(rules),
    // Which member of a oneof is set is the oneof's own matter.
    required: isRequired(rules) && field.partOf === null,
    kind,
    implicitDefault: kind === "scalar" && field.partOf === null ? field.typeDefault : undefined,
    itemChecks: compileRules(itemRules),
    keyChecks: compileRules(rules?.["map"]?.["keys"] as Rules | undefined),
    definedValues:
      ofEnum?.["defined_only"] === true && field.resolvedType instanceof protobuf.Enum
        ? new Set(Object.values(field.resolvedType.values))
        : undefined,
    message,
    wrapper: message !== undefined && WRAPPER.test(message.fullName),
    descend: message !== undefined && !message.fullName.startsWith(".google.protobuf."),
  };
}

function validateMessage(plan: Plan, message: Message, prefix: string, problems: string[]): void {
  for (const oneof of plan.requiredOneofs) {
    if (oneof.oneof.some((name) => fieldOf(message, name) !== undefined)) continue;
    problems.push(
      `${prefix}${oneof.oneof.length === 1 ? oneof.oneof[0] : oneof.name}: ${requiredText(oneof, message)}`,
    );
  }
  for (const field of plan.fields) {
    const set = fieldOf(message, field.name);
    const path = prefix + field.name;
    switch (field.kind) {
      case "scalar":
        validateValue(field, field.checks, set ?? field.implicitDefault, path, problems);
        break;
      case "message":
        if (set === undefined || set === null) {
          if (field.required) problems.push(`${path}: must be set`);
        } else validateValue(field, field.checks, set, path, problems);
        break;
      case "repeated":
        validateRepeated(field, (set ?? []) as unknown[], path, problems);
        break;
      case "map":
        validateMap(field, (set ?? {}) as { readonly [key: string]: unknown }, path, problems);
    }
  }
}

function requiredText(oneof: protobuf.OneOf, message: Message): string {
  const text = oneof.oneof.length === 1 ? "must be set" : `one must be set of ${oneof.oneof.join(", ")}`;
  // Of a newer Envoy's choices one may be what is set.
  const unknown = [...unknownFields(message)];
  return unknown.length === 0 ? text : `${text}; found is what this version does not know: field ${unknown.join(", ")}`;
}

function validateRepeated(field: FieldPlan, items: readonly unknown[], path: string, problems: string[]): void {
  report(field.checks, items, path, problems);
  if (field.itemChecks.length === 0 && !field.descend && field.definedValues === undefined) return;
  for (const [index, item] of items.entries()) {
    validateValue(field, field.itemChecks, item, `${path}[${index}]`, problems);
  }
}

function validateMap(
  field: FieldPlan,
  entries: { readonly [key: string]: unknown },
  path: string,
  problems: string[],
): void {
  report(field.checks, entries, path, problems);
  if (field.itemChecks.length + field.keyChecks.length === 0 && !field.descend && field.definedValues === undefined)
    return;
  for (const [key, value] of Object.entries(entries)) {
    const entryPath = `${path}[${JSON.stringify(key)}]`;
    report(field.keyChecks, key, `${entryPath} (key)`, problems);
    validateValue(field, field.itemChecks, value, entryPath, problems);
  }
}

function validateValue(
  field: FieldPlan,
  checks: readonly RuleCheck[],
  value: unknown,
  path: string,
  problems: string[],
): void {
  if (value === undefined || value === null) return; // a member of a oneof that is not set
  if (field.definedValues !== undefined && !field.definedValues.has(value as number)) {
    problems.push(`${path}: found ${value as number}, which is no value of the enum`);
  }
  if (field.message === undefined) {
    report(checks, value, path, problems);
    return;
  }
  report(checks, field.wrapper ? wrappedValue(field.message, value as Message) : value, path, problems);
  if (field.descend) validateMessage(planOf(field.message), value as Message, `${path}.`, problems);
}

const WRAPPER = /^\.google\.protobuf\.(Bool|U?Int(32|64)|Float|Double|String|Bytes)Value$/;

function wrappedValue(type: protobuf.Type, message: Message): unknown {
  return fieldOf(message, "value") ?? type.fields["value"]?.typeDefault;
}

function report(checks: readonly RuleCheck[], value: unknown, path: string, problems: string[]): void {
  for (const check of checks) {
    const problem = check(value);
    if (problem !== undefined) problems.push(`${path}: ${problem}`);
  }
}
