"""The page at `/` in Chromium: type a target and see it drawn, open the tree, follow a link, and names that would be markup."""
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from chromium import Browser  # noqa: E402
from plumbago import Up, send_lines  # noqa: E402
from stage import Stage, wait_for  # noqa: E402

STEP = 10
POINTS = 180
HOSTS = 4
# No name may hold blanks, so the marks of attributes are all that is left of markup; each must stay text.
HOSTILE = ["<svg/onload=alert(1)>", "<img/src=x/onerror=alert(2)>", "\"'><script>alert(3)</script>", "&amp=$alert(4)"]
# What the graph shows, as the page itself knows it: how many pixels of a canvas are not empty.
INK = """(() => { const c = document.querySelector('#canvas'); if (!c.width) return 0;
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
  for (let i = 3; i < d.length; i += 4) if (d[i] > 200) n++; return n; })()"""


def lines(last):
    rows = []
    for age in range(POINTS):
        stamp = last - age * STEP
        rows += [f"servers.web{host}.cpu.user {host * 10 + age % 7} {stamp}\n" for host in range(HOSTS)]
        rows += [f"disk.used;rack=a{rack};host=db{rack} {rack * 100 + age} {stamp}\n" for rack in range(2)]
        rows += [f"odd.{name.replace('.', '_').replace('/', '_')} {age} {stamp}\n" for name in HOSTILE]
    return "".join(rows)


def address(base, **state):
    return f"{base}/#{urllib.parse.urlencode(state, doseq=True)}"


def legend(page):
    return page.script("[...document.querySelectorAll('#legend tbody button')].map((b) => b.textContent)")


def is_clean(stage, page, where):
    stage.check(not page.errors, f"{where}: {page.errors[:3]}")


def types_a_target(stage, page, base):
    page.open(base + "/")
    page.wait("document.querySelectorAll('#tree [role=treeitem]').length >= 2", "the tree")
    page.click(".target textarea")
    page.type("sumS")
    page.wait("[...document.querySelectorAll('[role=option]')].some((o) => o.textContent.includes('sumSeries'))", "functions to be offered")
    page.press("Enter")
    stage.check(page.script("document.querySelector('.target textarea').value") == "sumSeries(", "Enter takes the function that is offered")
    stage.check("sumSeries(" in page.script("document.querySelector('#help').textContent"), "the function's help is shown")
    page.type("servers.*.cpu.us")
    page.wait("[...document.querySelectorAll('[role=option]')].some((o) => o.textContent.includes('servers.*.cpu.user'))", "metrics to be offered")
    page.press("Tab")
    page.type(")")
    page.wait(f"{INK} > 500 && document.querySelectorAll('#legend tbody tr').length === 1", "the graph")
    stage.check(legend(page) == ["sumSeries(servers.*.cpu.user)"], f"the legend names what was typed: {legend(page)}")
    last = page.script("document.querySelector('#legend tbody td:nth-child(2)').textContent")
    stage.check(last == str(sum(host * 10 for host in range(HOSTS))), f"the legend's last value: {last}")
    page.type(" |")
    page.wait("document.querySelector('.target .error') !== null", "what is wrong to be said")
    stage.check(legend(page) == [], "a target that is wrong draws nothing")
    is_clean(stage, page, "typing")


def opens_the_tree(stage, page, base):
    page.open(base + "/")
    page.wait("document.querySelectorAll('#tree [role=treeitem]').length >= 2", "the tree")
    page.script("[...document.querySelectorAll('#tree [role=treeitem]')].find((r) => r.textContent === 'servers').focus()")
    for wanted in ("web0", "cpu", "user"):
        page.press("ArrowRight")
        page.wait(f"[...document.querySelectorAll('#tree [role=treeitem]')].some((r) => r.textContent === {wanted!r})", wanted)
        page.press("ArrowRight")
    page.press("Enter")
    page.wait(f"{INK} > 500", "the graph of a leaf")
    stage.check(legend(page) == ["servers.web0.cpu.user"], f"Enter on a leaf draws it: {legend(page)}")
    page.click("#tab-tags")
    page.wait("[...document.querySelectorAll('#tags .name')].some((n) => n.textContent === 'rack')", "the tags")
    is_clean(stage, page, "tree")


def follows_a_link(stage, page, base):
    page.open(address(base, target=["aliasByNode(servers.*.cpu.user,1)", "seriesByTag('rack=a1')"], **{"from": "-20min", "until": "now"}))
    page.wait("document.querySelectorAll('#legend tbody tr').length === 5", "five series")
    names = [f"web{host}" for host in range(HOSTS)] + ["disk.used;host=db1;rack=a1"]
    stage.check(legend(page) == names, f"a link shows its targets in order: {legend(page)}")
    stage.check(page.script("document.querySelector('#from').value") == "-20min", "a link keeps its time range")
    page.click("#tab-table")
    page.wait("document.querySelectorAll('#values tbody tr').length > 50", "the table")
    link = page.script("location.href")
    stage.check("view=table" in link, f"the address follows what is shown: {link}")
    page.open(link)
    page.wait("document.querySelectorAll('#values tbody tr').length > 50", "the table again")
    is_clean(stage, page, "link")


def keeps_names_as_text(stage, page, base):
    page.open(address(base, target="odd.*", **{"from": "-20min"}))
    page.wait(f"document.querySelectorAll('#legend tbody tr').length === {len(HOSTILE)}", "the odd names")
    stage.check(any("<svg" in name for name in legend(page)), f"the legend shows them: {legend(page)}")
    page.script("[...document.querySelectorAll('#tree [role=treeitem]')].find((r) => r.textContent === 'odd').querySelector('.node').click()")
    page.wait(f"document.querySelectorAll('#tree ul [role=treeitem]').length === {len(HOSTILE)}", "them in the tree")
    for place in range(len(HOSTILE)):
        page.script(f"document.querySelectorAll('#tree ul [role=treeitem] .node')[{place}].click()")
    page.wait(f"document.querySelectorAll('.target').length === {1 + len(HOSTILE)}", "a target for each")
    page.wait(f"document.querySelectorAll('#legend tbody tr').length === {2 * len(HOSTILE)}", "each drawn by its own target")
    x, y = page.place("#canvas")
    page.mouse("mouseMoved", x, y)
    page.wait("!document.querySelector('#tip').hidden", "the values under the pointer")
    page.open(address(base, target="<svg onload=alert(5)>"))
    page.wait("document.querySelector('.target .error') !== null || document.querySelector('#status').textContent.startsWith('0')", "an answer")
    made = page.script("document.querySelectorAll('main svg, main img, main script, aside svg, aside img').length")
    stage.check(made == 0, f"{made} elements were made from names")
    is_clean(stage, page, "hostile names")


def shows_the_cluster(stage, page, base):
    page.open(address(base, page="cluster"))
    page.wait("document.querySelectorAll('#nodes tbody tr').length === 4", "four nodes")
    summary = page.script("document.querySelector('#cluster-summary').textContent")
    stage.check(summary == "All 4 nodes answer.", f"the cluster's summary: {summary}")
    is_clean(stage, page, "cluster")


def main():
    with Stage("browser") as stage:
        up = Up(stage, "10s:1d")
        last = int(time.time()) // STEP * STEP
        send_lines(up.line, lines(last))
        wait_for("the points", lambda: len(up.api.render(["odd.*"], last - 60, last)) == len(HOSTILE), 30)
        page = Browser(stage)
        for check in (types_a_target, opens_the_tree, follows_a_link, keeps_names_as_text, shows_the_cluster):
            check(stage, page, up.api.base)


main()
