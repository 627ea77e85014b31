import { err, ok, type Result } from "@heddle/base";
import type { AdminServer } from "@heddle/telemetry/admin";
import type { Address } from "@heddle/traffic";
import { addressText } from "./address-form.ts";

/** Lets admin listen where the bootstrap says. Gives the address with the port that port 0 became, or why it could not. */
export async function listenAdmin(server: AdminServer, address: Address): Promise<Result<Address, string>> {
  const listening = await server.listen(
    address.type === "pipe" ? { path: address.path } : { host: address.address, port: address.port },
  );
  if (!listening.ok) {
    const why = listening.error.code === "EADDRINUSE" ? "the address is taken" : listening.error.message;
    return err(`admin cannot listen on ${addressText(address)}: ${why}; --admin-address names another`);
  }
  return ok(
    "port" in listening.value && address.type === "socket" ? { ...address, port: listening.value.port } : address,
  );
}
