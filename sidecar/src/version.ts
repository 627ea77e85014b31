/** Of this package. A constant, since a bundle has no package.json beside it; a test holds the two together. */
export const VERSION = "0.1.0";
