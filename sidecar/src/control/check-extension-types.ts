import { err } from "@heddle/base";
import type { ResourceTypes } from "@heddle/xds";

/**
 * The same types, but what comes by ECDS also has to be of a type that every filter of its name allows (`type_urls`), which only
 * the listeners say. `refuses`: why that type is not allowed there; undefined where it is.
 */
export function checkExtensionTypes(
  types: ResourceTypes,
  refuses: (filterName: string, type: string) => string | undefined,
): ResourceTypes {
  const extensions = types["extension-config"];
  return {
    ...types,
    "extension-config": {
      ...extensions,
      decode(bytes) {
        const decoded = extensions.decode(bytes);
        if (!decoded.ok) return decoded;
        const { name, config } = decoded.value.config;
        const refusal = refuses(name, config.type);
        return refusal === undefined ? decoded : err([`typed_config: ${refusal}`]);
      },
    },
  };
}
