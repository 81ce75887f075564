/** The limits that units meet by default, as Python's UnitFilter has them. */
export const DEFAULT_FILTERS = [
  { key: "amplitude_cutoff", words: "amplitude_cutoff ≤ 0.1", passes: (value) => value <= 0.1 },
  { key: "presence_ratio", words: "presence_ratio ≥ 0.95", passes: (value) => value >= 0.95 },
  { key: "isi_violations", words: "isi_violations ≤ 0.5", passes: (value) => value <= 0.5 },
  { key: "quality", words: "quality is good", passes: (value) => value === "good" },
];
