/** "100m", "0.5", "128Mi", "1e3": whether it is a Kubernetes quantity (resource.Quantity), at most 24 characters, not negative. */
export function isQuantity(text: string): boolean {
  return text.length <= 24 && /^\+?(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$/.test(text);
}

const SCALES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** What a quantity stands for. NaN: it is none. */
export function quantityValue(text: string): number {
  if (!isQuantity(text)) return Number.NaN;
  const [, number = "", suffix = ""] = /^\+?([\d.]+)(.*)$/.exec(text) ?? [];
  return /^[eE][+-]?\d/.test(suffix) ? Number(number + suffix) : Number(number) * (SCALES[suffix] ?? Number.NaN);
}
