// The token: it comes in the address's fragment, which browsers send to nobody, and stays in this tab's session storage.

const KEY = "docket.token";

/** The token of this tab, taking over one that the address brings and removing it from there. */
export function token() {
  const brought = new URLSearchParams(location.hash.slice(1)).get("token");
  if (brought) {
    sessionStorage.setItem(KEY, brought.trim());
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY);
}

/** The token as it is kept, whatever the address says. */
export const stored = () => sessionStorage.getItem(KEY);

export const keep = (text) => sessionStorage.setItem(KEY, text.trim());
export const forget = () => sessionStorage.removeItem(KEY);

/** The order that the address names: `#order=…`. */
export const selected = () => new URLSearchParams(location.hash.slice(1)).get("order");

/** Names an order in the address, so that a reload shows it again. */
export const select = (id) => history.replaceState(null, "", `#order=${encodeURIComponent(id)}`);
