// What is wrong with a page as it stands: parts that stick out of the window, text with too little contrast.
() => {
  const found = new Set();
  const room = document.documentElement.clientWidth; // a phone's innerWidth grows with what sticks out
  const wide = document.documentElement.scrollWidth - room;
  const name = (one) => one.tagName.toLowerCase() + (one.className && one.className.baseVal === undefined ? "." + [...one.classList].join(".") : "");
  if (wide > 0) {
    const out = [...document.body.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > room + 1);
    found.add(`${wide} px wider than the window: ${out.slice(0, 3).map(name).join(", ")}`);
  }
  const parse = (colour) => { const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (one) => {
    for (let each = one; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.a > 0.99) return colour;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !one.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || one.closest("svg, .sr")) continue;
    const style = getComputedStyle(one);
    const [a, b] = [light(parse(style.color)), light(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) found.add(`contrast ${contrast.toFixed(1)} of ${name(one)}: ${texts.currentNode.data.trim().slice(0, 30)}`);
  }
  return [...found];
}
