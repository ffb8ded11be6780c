/** Making and finding elements. Text from elsewhere only ever becomes text. */

/** The element with that id; the page is made so that it is there. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

type Attributes = Record<string, string | number | boolean | ((event: Event) => void)>;

/** A new element: attributes, `on…` functions, and children. */
export function make(tag: string, attributes: Attributes, ...children: (Node | string)[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** Shows one of the page's main parts and hides the others. */
export function show(id: string): void {
  for (const part of document.querySelectorAll("main")) part.hidden = part.id !== id;
}

/** Runs a form's work: no second time while it runs, and what goes wrong is told. */
export function onSubmit(form: HTMLFormElement, work: (data: FormData) => Promise<void>): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    work(new FormData(form))
      .catch(tell)
      .finally(() => {
        for (const button of buttons) button.disabled = false;
      });
  });
}

/** What a form's field says. */
export function field(data: FormData, name: string): string {
  const value = data.get(name);
  return typeof value === "string" ? value.trim() : "";
}

/** A line at the top that can be put away. */
export function notice(text: string, bad = false): void {
  const place = byId(bad ? "alarms" : "notices");
  // Two ways to hear of the same thing are one notice.
  if ([...place.querySelectorAll("span")].some((said) => said.textContent === text)) return;
  const line = make("p", { class: bad ? "notice bad" : "notice" }, make("span", {}, text));
  line.append(make("button", { type: "button", class: "plain", onclick: () => line.remove() }, "Close"));
  place.append(line);
  if (!bad) setTimeout(() => line.remove(), 15_000);
}

/** Tells a person that something failed, and what to do about it: the message says that. */
export function tell(error: unknown): void {
  notice(error instanceof Error ? error.message : String(error), true);
}
