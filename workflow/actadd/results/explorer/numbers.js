// A coordinate or a count: as many digits as it needs.
function number(value, signed = false) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const short =
    size !== 0 && (size >= 1e6 || size < 1e-4)
      ? value.toExponential(2)
      : String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
  return (signed && value > 0 ? "+" : "") + short.replace("-", "−");
}

// Decimals of a metric: all of its numbers have as many, three digits of its largest mean.
function decimals(metric) {
  const current = run();
  current.decimals ??= new Map();
  if (!current.decimals.has(metric)) {
    const m = current.metrics.indexOf(metric);
    const means = current.summary.mean.filter(
      (value, row) => current.summary.metric[row] === m && value !== null,
    );
    const largest = Math.max(0, ...means.map(Math.abs));
    const digits = largest ? 2 - Math.floor(Math.log10(largest)) : 3;
    current.decimals.set(metric, Math.min(4, Math.max(0, digits)));
  }
  return current.decimals.get(metric);
}

// A score or an estimate of a metric.
function score(metric, value, signed = false) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(decimals(metric));
  if (Number(text) === 0) return text.replace("-", "");
  return (signed && value > 0 ? "+" : "") + text.replace("-", "−");
}

function interval(metric, low, high, signed = false) {
  if (low === null || high === null) return "";
  return `[${score(metric, low, signed)}, ${score(metric, high, signed)}]`;
}

const probability = (value) =>
  value === null ? "–" : value < 0.001 ? "< 0.001" : value.toFixed(3);
