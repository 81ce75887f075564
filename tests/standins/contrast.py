"""What of a page's text has too little contrast, as JavaScript that a browser evaluates."""

# every piece of text with the colours it is drawn with; what lies under it is blended as it is
CONTRAST = r"""() => {
    const parse = (text) => {
        const c = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
        c.fillStyle = text; c.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = c.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255).map(
            (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const known = new Map();
    const color = (text) => known.get(text) ?? known.set(text, parse(text)).get(text);
    const found = [];
    const visibly = {opacityProperty: true, visibilityProperty: true};
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const words = walker.currentNode.textContent.trim();
        const element = walker.currentNode.parentElement;
        if (!words || !element.checkVisibility(visibly)) continue;
        if (element.closest(":disabled, noscript, script, style, .skip, option")) continue;
        const chain = [];
        for (let e = element; e; e = e.parentElement) chain.unshift(e);
        let under = [255, 255, 255];
        let opacity = 1;
        for (const e of chain) {
            const style = getComputedStyle(e);
            under = over(color(style.backgroundColor), under);
            opacity *= Number(style.opacity);
        }
        const style = getComputedStyle(element);
        const ink = [...color(style.color)];
        ink[3] *= opacity;
        const [a, b] = [light(over(ink, under)), light(under)].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize);
        const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < (isLarge ? 3 : 4.5)) found.push([words.slice(0, 40), Number(ratio.toFixed(2))]);
    }
    return found;
}"""
