// How values are written for people.

/** Money as the API gives it: its text already has the places of its currency, so 0 for JPY and 3 for KWD. */
export function money(value) {
  if (!value) return "–";
  const places = value.amount.split(".")[1]?.length ?? 0;
  try {
    const style = { style: "currency", currency: value.currency, minimumFractionDigits: places, maximumFractionDigits: places };
    // Given as text, it is not rounded to a double on the way.
    return new Intl.NumberFormat(undefined, style).format(value.amount);
  } catch {
    return `${value.amount} ${value.currency}`;
  }
}

const STEPS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86_400, 3600, "hour"],
  [86_400 * 30, 86_400, "day"],
  [86_400 * 365, 86_400 * 30, "month"],
  [Infinity, 86_400 * 365, "year"],
];
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** `3 min. ago`. */
export function ago(instant, now = Date.now()) {
  const seconds = Math.round((Date.parse(instant) - now) / 1000);
  if (Math.abs(seconds) < 5) return "just now";
  const [, unit, name] = STEPS.find(([below]) => Math.abs(seconds) < below);
  return relative.format(Math.trunc(seconds / unit), name);
}

/** The day and the time to the second, with the zone. */
export const at = (instant) => exact.format(new Date(instant));

/** The time of day to the second. */
export const timeOfDay = (instant) => clock.format(new Date(instant));

/** `PARTIALLY_PAID` as `Partially paid`. */
export function words(name) {
  const text = name.toLowerCase().replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `payment.capture_requested` as `Payment capture requested`; what an order's own events say needs no prefix. */
export function eventText(type) {
  const [kind, what = kind] = type.split(".");
  return kind === "order" ? words(what) : `${words(kind)} ${what.replaceAll("_", " ")}`;
}

const TONES = {
  good: ["COMPLETED", "PAID", "DELIVERED", "CAPTURED"],
  going: [
    ...["PLACED", "CONFIRMED"],
    ...["PENDING", "PARTIALLY_AUTHORIZED", "AUTHORIZED", "PARTIALLY_PAID"],
    ...["PARTIALLY_ALLOCATED", "ALLOCATED", "PARTIALLY_SHIPPED", "SHIPPED", "PARTIALLY_DELIVERED"],
    ...["INITIATED", "ACTION_REQUIRED", "PARTIALLY_CAPTURED", "CREATED", "LABEL_PURCHASED", "DISPATCHED"],
  ],
  back: ["RETURNED", "REFUNDED", "PARTIALLY_REFUNDED"],
  bad: ["CANCELLED", "EXPIRED", "FAILED", "VOIDED"],
};

/** How a status feels; its text says what it is. */
export const tone = (status) => Object.keys(TONES).find((name) => TONES[name].includes(status)) ?? "quiet";

/** `#1005` of an order that was placed; what was never placed has no number. */
export const orderName = (order) => (order.number ? `#${order.number}` : order.status === "DRAFT" ? "Draft" : "Unplaced");
