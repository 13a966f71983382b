"""How the page looks, and the little it does."""

CSS = """
:root{color-scheme:light dark;
--paper:#fff;--raised:#f6f7f9;--ink:#1c2128;--muted:#5d6876;--grid:#e2e5e9;
--teacher:#3f4756;--baseline:#6f7987;--c1:#0072b2;--c2:#c05000;--c3:#008a64;
--c4:#b0568c;--c5:#a87100;--c6:#2b8dc4;--warn:#8a4b00;--warn-paper:#fff6e8}
@media screen and (prefers-color-scheme:dark){:root{
--paper:#14181d;--raised:#1c2127;--ink:#e8ebef;--muted:#9aa5b3;--grid:#2c333c;
--teacher:#c6cedb;--baseline:#8f9bab;--c1:#4fb0ec;--c2:#ff8f45;--c3:#35cfa0;
--c4:#e79cc8;--c5:#f0b63c;--c6:#8ad0f7;--warn:#ffc27a;--warn-paper:#2b2113}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,
sans-serif}
main,header,footer,nav{max-width:1176px;margin:auto;padding:0 24px}
h1{font-size:clamp(1.7rem,4vw,2.5rem);line-height:1.15;letter-spacing:-.02em;
margin:.15em 0 .2em;text-wrap:balance}
h2{font-size:1.5rem;letter-spacing:-.01em;line-height:1.25;margin:0 0 .3em}
h3{font-size:1.05rem;margin:2em 0 .6em}
p{max-width:68ch;margin:.4em 0 .8em;text-wrap:pretty}
section{padding:44px 0 12px;border-top:1px solid var(--grid);margin-top:36px}
section:first-child{border:0;padding-top:8px;margin-top:0}
a{color:var(--c1);text-underline-offset:.18em}
:focus-visible{outline:3px solid var(--c1);outline-offset:2px;border-radius:3px}
.eyebrow,.muted,figcaption,.notes,footer{color:var(--muted);font-size:.875rem}
.eyebrow{margin:40px 0 0;letter-spacing:.02em}
nav{position:sticky;top:0;z-index:2;background:var(--paper);overflow-x:auto;
display:flex;gap:22px;padding-top:10px;padding-bottom:10px;white-space:nowrap;
font-size:.875rem;scrollbar-width:none}
nav a{color:var(--muted);text-decoration:none}
nav a:hover{color:var(--ink)}
.lead{font-size:1.2rem;line-height:1.5;max-width:46ch}
.lead b,.tile b{font-variant-numeric:tabular-nums}
.hero{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:24px 56px;
align-items:center}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));
gap:20px 28px;
margin:26px 0 0;padding:0;list-style:none}
.tile{border-left:3px solid var(--tone,var(--c1));padding-left:12px}
.tile b{display:block;font-size:1.65rem;line-height:1.2;letter-spacing:-.02em;
font-weight:650}
.tile span{color:var(--muted);font-size:.84rem;line-height:1.35;display:block}
.split{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(330px,100%),1fr));
gap:20px 56px;align-items:start;margin:18px 0}
.charts{display:grid;
grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));
gap:30px 28px;margin:22px 0}
figure{margin:0;min-width:0;break-inside:avoid}
.chart{display:block;width:100%;height:auto;overflow:visible;max-width:560px}
.hero .chart{margin-left:auto}
.split .chart{max-width:470px}
.series{transition:opacity .15s}.dim{opacity:.12}
.legend{display:flex;flex-wrap:wrap;gap:8px;margin:12px 0 0;padding:0;list-style:none}
.legend button{font:inherit;font-size:.875rem;color:inherit;background:none;
cursor:pointer;
border:1px solid var(--grid);border-radius:99px;padding:5px 13px 5px 10px;
min-height:34px}
.legend button:hover,.legend [aria-pressed=true]{border-color:currentColor}
.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.5em;
background:var(--tone);border:2px solid var(--tone);vertical-align:-.02em}
.dot.hollow{background:none}
table{border-collapse:collapse;width:100%;font-size:.9375rem;
font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);font-size:.875rem;padding:0 0 10px}
th,td{padding:11px 14px 11px 0;text-align:right;vertical-align:baseline;
border-bottom:1px solid var(--grid)}
thead th{color:var(--muted);font-weight:500;font-size:.84rem;line-height:1.3;
vertical-align:bottom}
th:first-child,td.text,th.text{text-align:left}
th[scope=row]{font-weight:600}
th small{font-weight:400;margin-left:.2em}
td small{color:var(--muted);font-size:.82em;white-space:nowrap}
.key td{white-space:nowrap}.key td:nth-child(2){font-weight:650}
.plain td,.plain th{text-align:left;font-weight:400;overflow-wrap:anywhere}
.plain th[scope=row]{color:var(--muted)}
.plain th,.plain td{padding-top:7px;padding-bottom:7px}
.numbers td,.numbers th{white-space:nowrap}
.scroll{overflow-x:auto}
code,pre{font:.84em/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code{overflow-wrap:anywhere}
pre{background:var(--raised);padding:16px 18px;border-radius:8px;overflow:auto;
max-height:70vh;
margin:8px 0;tab-size:4}
details{border-bottom:1px solid var(--grid);padding:4px 0}
summary{cursor:pointer;padding:8px 0;font-weight:500}
.notes{background:var(--warn-paper);border-radius:8px;padding:12px 16px 12px 34px;
margin:16px 0;
color:var(--warn);max-width:80ch;overflow-wrap:anywhere}
.notes li+li{margin-top:.3em}
.sample{display:grid;
grid-template-columns:repeat(auto-fit,minmax(min(200px,45%),1fr));gap:14px;
margin:0 0 30px}
.sample.small{grid-template-columns:repeat(auto-fill,minmax(min(172px,30%),1fr))}
.sample img{display:block;width:100%;height:auto;border-radius:6px;
background:var(--raised)}
.sample figcaption{margin-top:5px;line-height:1.35}
.answers{display:grid;
grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));gap:30px 36px}
.card{display:grid;grid-template-columns:84px minmax(0,1fr);gap:16px;break-inside:avoid}
.card img{width:84px;border-radius:6px;display:block}
.card table{font-size:.84rem}
.card th,.card td{padding:3px 8px 3px 0;border:0;text-align:left;font-weight:400}
.card tr.first th,.card tr.first td{padding-top:7px}
.bar{display:block;height:9px;border-radius:2px;background:var(--tone);min-width:1px}
.card td{white-space:nowrap}.card td.bars{width:46%}.right{font-weight:650}
.visually-hidden{position:absolute;width:1px;height:1px;overflow:hidden;
clip-path:inset(50%)}
footer{padding-top:26px;padding-bottom:60px}
@media (max-width:760px){
main,header,footer,nav{padding-left:16px;padding-right:16px}
.hero{grid-template-columns:minmax(0,1fr)}.hero .chart{margin:0}
.lead{font-size:1.08rem}section{padding-top:34px}
.key thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.key,.key tbody{display:block}
.key tr{display:grid;grid-template-columns:1fr 1fr;gap:2px 18px;padding:14px 0;
border-bottom:1px solid var(--grid)}
.key th[scope=row]{grid-column:1/-1;font-size:1.05rem}
.key th,.key td{border:0;padding:3px 0;text-align:left}
.key td::before{content:attr(data-label);display:block;color:var(--muted);
font-size:.78rem;
font-weight:400}
.key td.none{display:none}}
@media print{nav,.legend{display:none}body{font-size:10.5pt}
section{padding-top:18px;margin-top:14px}.charts{grid-template-columns:1fr 1fr}
pre{max-height:none;white-space:pre-wrap}a{color:inherit;text-decoration:none}}
@media (prefers-reduced-motion:reduce){*{transition:none!important;
scroll-behavior:auto!important}}
"""

# A click on a legend's name shows its lines alone; on paper everything is unfolded.
SCRIPT = """
const lines=document.querySelectorAll('.series'),
names=document.querySelectorAll('.legend button');
let kept=null;
const show=key=>lines.forEach(e=>
e.classList.toggle('dim',key!==null&&e.dataset.series!==key));
names.forEach(b=>{const key=b.dataset.key;
b.addEventListener('mouseenter',()=>show(key));
b.addEventListener('mouseleave',()=>show(kept));
b.addEventListener('click',()=>{kept=kept===key?null:key;show(kept);
names.forEach(n=>n.setAttribute('aria-pressed',n.dataset.key===kept))})});
addEventListener('beforeprint',()=>document.querySelectorAll('details.print').forEach(d=>d.open=true));
"""
