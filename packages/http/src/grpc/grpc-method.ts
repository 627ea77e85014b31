/**
 * The service and the method that a path names: "/shop.Cart/Add" is "shop.Cart" and "Add". What follows "?" does not
 * count, nor do empty parts. Undefined: it is no call (Envoy's `resolveServiceAndMethod`).
 */
export function grpcMethodOf(path: string): { readonly service: string; readonly method: string } | undefined {
  const query = path.indexOf("?");
  const parts = (query === -1 ? path : path.slice(0, query)).split("/").filter((part) => part !== "");
  const [service, method] = parts;
  return parts.length === 2 && service !== undefined && method !== undefined ? { service, method } : undefined;
}
