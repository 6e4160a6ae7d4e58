//! The picture: each row's rate as a part of its limit, with the target as a line. Written by
//! `Report::write`.

use std::fmt::Write as _;

use super::RowResult;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 240.0;
const BAR: f64 = 440.0;
const ROW_HEIGHT: f64 = 40.0;

pub(super) fn draw(rows: &[RowResult]) -> String {
    let height = ROW_HEIGHT * rows.iter().map(|_| 1.0).sum::<f64>() + 30.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">"#
    );
    let _ = write!(
        svg,
        r#"<text x="{LEFT}" y="16">measured as a part of the limit, the target marked; of latencies less is better</text>"#
    );
    let mut top = 28.0;
    for row in rows {
        let asked = row.target.value(row.limit.median);
        let whole = row.limit.median.max(asked);
        let part = |value: f64| (value / whole).clamp(0.0, 1.0) * BAR;
        let (filled, target) = (part(row.measured.median), LEFT + part(asked));
        let (text, bottom) = (top + 18.0, top + 26.0);
        let beside = LEFT + BAR + 8.0;
        let _ = write!(
            svg,
            r##"<text x="8" y="{text}">{name} {size}</text>
<rect x="{LEFT}" y="{top}" width="{BAR}" height="26" fill="#dde"/>
<rect x="{LEFT}" y="{top}" width="{filled:.1}" height="26" fill="#468"/>
<line x1="{target:.1}" x2="{target:.1}" y1="{top}" y2="{bottom}" stroke="#c33" stroke-width="2"/>
<text x="{beside}" y="{text}">{rate:.1} {unit}</text>"##,
            name = row.name,
            size = row.operations,
            rate = row.measured.median,
            unit = row.unit,
        );
        top += ROW_HEIGHT;
    }
    svg.push_str("</svg>\n");
    svg
}
