/* The door for tests of filters: `@heddle/filter/testing`. */
export { type Arrived, ScriptedExchange, type ScriptedFilter, type ScriptedOptions } from "./scripted-exchange.ts";
export { silentLog, unseenMetrics } from "./testing-context.ts";
