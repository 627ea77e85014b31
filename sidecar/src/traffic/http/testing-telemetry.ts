import type { Counter, Gauge, Histogram, Labels, Log, MetricScope, SeriesGroup } from "@heddle/telemetry";

/** Counts in a map, by name without labels. */
export class MemoryMetrics implements MetricScope {
  readonly values: Map<string, number>;
  readonly #prefix: string;

  constructor(values = new Map<string, number>(), prefix = "") {
    this.values = values;
    this.#prefix = prefix;
  }

  counter(name: string): Counter {
    return { add: (by = 1) => this.#add(name, by) };
  }

  gauge(name: string): Gauge {
    return { add: (by) => this.#add(name, by), set: (to) => void this.values.set(this.#prefix + name, to) };
  }

  histogram(name: string): Histogram {
    return { record: () => this.#add(`${name}.count`, 1) };
  }

  scope(prefix: string, _labels?: Labels): MetricScope {
    return new MemoryMetrics(this.values, `${this.#prefix}${prefix}.`);
  }

  group({ prefix }: SeriesGroup): MetricScope {
    return this.scope(prefix);
  }

  #add(name: string, by: number): void {
    const key = this.#prefix + name;
    this.values.set(key, (this.values.get(key) ?? 0) + by);
  }
}

/** Keeps warnings and errors. */
export class MemoryLog implements Log {
  readonly #problems: string[];

  constructor(problems: string[]) {
    this.#problems = problems;
  }

  trace(): void {}
  debug(): void {}
  info(): void {}

  warn(message: string, fields?: object): void {
    this.#problems.push(`${message} ${JSON.stringify(fields ?? {})}`);
  }

  error(message: string, fields?: object): void {
    this.#problems.push(`${message} ${JSON.stringify(fields ?? {})}`);
  }

  with(): Log {
    return this;
  }

  enabled(): boolean {
    return false;
  }
}
