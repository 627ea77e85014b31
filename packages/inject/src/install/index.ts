/* What `heddle install` prints: the door `@heddle/inject/install`. */

export { type AuthorityPems, authoritySecret } from "./authority-secret.ts";
export { CNI_NAME } from "./cni-objects.ts";
export { customResourceDefinitions } from "./custom-resources.ts";
export { installObjects, uninstallObjects } from "./install-objects.ts";
export { DEFAULT_INSTALL_SETTINGS, type InstallSettings } from "./install-settings.ts";
export { manifestText } from "./manifest-text.ts";
export { namesToDelete } from "./names-to-delete.ts";
export { tagObjects } from "./tag-objects.ts";
