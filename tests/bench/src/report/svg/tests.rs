use roxmltree::{Document, Node};

use super::*;

fn chart(kind: ChartKind, places: &[&str], series: &[(&str, &[Option<f64>])]) -> Chart {
    Chart {
        title: "Cost <of> a packet".into(),
        file: "a".into(),
        kind,
        x: "flows".into(),
        places: places.iter().map(|place| (*place).to_owned()).collect(),
        y: "ns & more".into(),
        logarithmic: false,
        series: series
            .iter()
            .map(|(name, values)| Series {
                name: (*name).into(),
                values: values.to_vec(),
            })
            .collect(),
    }
}

fn elements<'a>(document: &'a Document, name: &'a str) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.has_tag_name(name)).collect()
}

fn texts<'a>(document: &'a Document) -> Vec<&'a str> {
    let texts = elements(document, "text");
    texts.into_iter().filter_map(|node| node.text()).collect()
}

fn attribute(node: &Node, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

#[test]
fn lines_have_markers_and_gaps() {
    let values = [Some(1.0), Some(2.0), None, Some(3.0), Some(4.0)];
    let lone = [None, Some(5.0), None, None, None];
    let chart = chart(
        ChartKind::Lines,
        &["1", "2", "3", "4", "5"],
        &[("with a gap", &values), ("alone", &lone)],
    );
    let text = draw(&chart);
    let document = Document::parse(&text).unwrap();
    let lines = elements(&document, "polyline");
    // Two runs of the first, and a line of the legend each.
    assert_eq!(lines.len(), 2 + 2);
    assert_eq!(elements(&document, "circle").len(), 4 + 1);
    assert_eq!(elements(&document, "polygon").len(), 1 + 1);
}

#[test]
fn everything_has_its_text_escaped() {
    let chart = chart(ChartKind::Bars, &["a<b"], &[("\"lb\"", &[Some(12.0)])]);
    let text = draw(&chart);
    let document = Document::parse(&text).unwrap();
    let texts = texts(&document);
    for wanted in [
        "Cost <of> a packet",
        "ns & more",
        "flows",
        "a<b",
        "\"lb\"",
        "12.0",
        "0",
        "15",
    ] {
        assert!(texts.contains(&wanted), "{wanted} in {texts:?}");
    }
}

#[test]
fn bars_stand_on_zero_and_are_to_scale() {
    let series: [(&str, &[Option<f64>]); 2] = [("a", &[Some(10.0), Some(-5.0)]), ("b", &[Some(20.0), None])];
    let text = draw(&chart(ChartKind::Bars, &["x", "y"], &series));
    let document = Document::parse(&text).unwrap();
    let bars: Vec<(f64, f64)> = elements(&document, "rect")
        .iter()
        .filter(|node| attribute(node, "width") > 20.0 && node.attribute("rx").is_none())
        .map(|node| (attribute(node, "y"), attribute(node, "height")))
        .collect();
    let [(top, height), (below_top, below), (_, double)] = bars[..] else {
        panic!("{bars:?}")
    };
    assert!((double - 2.0 * height).abs() < 0.2 && (height - 2.0 * below).abs() < 0.2);
    assert!(
        (top + height - below_top).abs() < 0.2,
        "one stands where the other hangs"
    );
}

#[test]
fn nothing_leaves_the_page() {
    let long = "a long name of a place";
    let many: Vec<Option<f64>> = (0..12).map(|n| Some(f64::from(n) * 1e5)).collect();
    let charts = [
        chart(ChartKind::Lines, &[long; 12], &[("a series with quite a name", &many)]),
        chart(ChartKind::Bars, &[long; 12], &[("a", &many), ("b", &many)]),
        chart(ChartKind::Bars, &[], &[]),
    ];
    for chart in charts {
        let text = draw(&chart);
        let document = Document::parse(&text).unwrap();
        let page = document.root_element();
        let (right, bottom) = (attribute(&page, "width"), attribute(&page, "height"));
        for node in elements(&document, "text") {
            let (x, y) = (attribute(&node, "x"), attribute(&node, "y"));
            let wide = width(node.text().unwrap_or_default());
            let turned = node.attribute("transform").is_some();
            let (sine, cosine) = if turned {
                TURNED.abs().to_radians().sin_cos()
            } else {
                (0.0, 1.0)
            };
            let (from, to) = match node.attribute("text-anchor") {
                Some("end") => (x - wide * cosine, x),
                Some("middle") => (x - wide / 2.0, x + wide / 2.0),
                _ => (x, x + wide),
            };
            assert!(
                from >= 0.0 && to <= right,
                "{:?} from {from} to {to} of {right}",
                node.text()
            );
            assert!(y + wide * sine <= bottom, "{:?} at {y} of {bottom}", node.text());
        }
    }
}

#[test]
fn a_chart_without_values_says_so() {
    let text = draw(&chart(ChartKind::Lines, &["1"], &[("a", &[None])]));
    let document = Document::parse(&text).unwrap();
    assert!(texts(&document).contains(&"nothing was measured"));
}

#[test]
fn lines_are_named_in_the_order_in_which_they_end() {
    let series: [(&str, &[Option<f64>]); 3] = [
        ("low", &[Some(9.0), Some(1.0)]),
        ("high", &[Some(1.0), Some(8.0)]),
        ("none", &[None, None]),
    ];
    let text = draw(&chart(ChartKind::Lines, &["x", "y"], &series));
    let document = Document::parse(&text).unwrap();
    let texts = texts(&document);
    let place = |name: &str| texts.iter().position(|text| *text == name);
    assert!(place("high") < place("low") && place("low") < place("none"));
}

#[test]
fn a_logarithmic_chart_leaves_out_what_it_cannot_show() {
    let mut chart = chart(
        ChartKind::Bars,
        &["x", "y", "z"],
        &[("a", &[Some(0.0), Some(5.0), Some(5e4)])],
    );
    chart.logarithmic = true;
    let text = draw(&chart);
    let document = Document::parse(&text).unwrap();
    let bars = elements(&document, "rect");
    // The page, two bars and the legend.
    assert_eq!(bars.len(), 1 + 2 + 1);
    assert!(texts(&document).contains(&"10 k"));
}
