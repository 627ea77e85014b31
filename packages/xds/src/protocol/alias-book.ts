/**
 * Which of the names that a client asked for are answered by a resource that calls itself something else
 * (`Resource.aliases`; VHDS answers a domain with the virtual host that has it).
 */
export class AliasBook {
  readonly #realNames: Map<string, string> = new Map();
  readonly #aliases: Map<string, Set<string>> = new Map();

  /** From now on the resource answers the alias, and no other does. */
  link(alias: string, realName: string): void {
    if (this.#realNames.get(alias) === realName) return;
    this.unlink(alias);
    this.#realNames.set(alias, realName);
    const aliases = this.#aliases.get(realName) ?? new Set();
    this.#aliases.set(realName, aliases.add(alias));
  }

  unlink(alias: string): void {
    const realName = this.#realNames.get(alias);
    if (realName === undefined) return;
    this.#realNames.delete(alias);
    const aliases = this.#aliases.get(realName);
    aliases?.delete(alias);
    if (aliases?.size === 0) this.#aliases.delete(realName);
  }

  realName(alias: string): string | undefined {
    return this.#realNames.get(alias);
  }

  /** Whether any name that was asked for is answered by that resource. */
  has(realName: string): boolean {
    return this.#aliases.has(realName);
  }

  aliasesOf(realName: string): readonly string[] {
    return [...(this.#aliases.get(realName) ?? [])];
  }
}
