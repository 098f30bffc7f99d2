//! The grammar, case by case.

use super::*;

fn path(text: &str) -> Expr {
    Expr::Path(text.to_owned())
}

fn call(name: &str, position: usize, args: Vec<Expr>) -> Expr {
    Expr::Call(Box::new(CallExpr { name: name.to_owned(), position, args, kwargs: Vec::new() }))
}

#[test]
fn paths_keep_globs_braces_and_odd_characters() {
    for text in
        ["a.b", "a.{b,c}*.d", "odd.colon:sep.x", "a=b", "5xx.count", "日本.ü", "[", "*", "-a"]
    {
        assert_eq!(parse(text), Ok(path(text)));
    }
    assert_eq!(parse(r"a\(b\).c"), Ok(path("a(b).c")));
}

#[test]
fn pipes_become_nested_calls() {
    let piped = parse("a.b | scale(2) |offset(3)").unwrap();
    let scale = call("scale", 6, vec![path("a.b"), Expr::Int(2)]);
    assert_eq!(piped, call("offset", 16, vec![scale, Expr::Int(3)]));
}

#[test]
fn a_number_counts_only_at_the_end_of_an_argument() {
    let found = parse("f(1,-2.5,1e3,1min,5xx.a,.5)").unwrap();
    let args = vec![
        Expr::Int(1),
        Expr::Float(-2.5),
        Expr::Float(1000.0),
        path("1min"),
        path("5xx.a"),
        Expr::Float(0.5),
    ];
    assert_eq!(found, call("f", 0, args));
}

#[test]
fn words_have_any_case_and_only_stand_alone() {
    let found = parse("f(TRUE,false,None,INF,-inf,true.x)").unwrap();
    let args = vec![
        Expr::Bool(true),
        Expr::Bool(false),
        Expr::None,
        Expr::Float(f64::INFINITY),
        Expr::Float(f64::NEG_INFINITY),
        path("true.x"),
    ];
    assert_eq!(found, call("f", 0, args));
}

#[test]
fn strings_are_raw() {
    let found = parse(r#"f("a\"c",'b\1',"")"#).unwrap();
    let text = |text: &str| Expr::Text(text.to_owned());
    let args = vec![text("a\\\"c"), text("b\\1"), text("")];
    assert_eq!(found, call("f", 0, args));
}

#[test]
fn keyword_arguments_follow_positional_ones() {
    let Ok(Expr::Call(found)) = parse("f(a, n = 2, g=h(b))") else { panic!("no call") };
    assert_eq!(found.args, vec![path("a")]);
    assert_eq!(found.kwargs[0], ("n".to_owned(), Expr::Int(2)));
    assert!(parse("f(a,n=2,b)").is_err());
    assert!(parse("f(n=2)").is_err());
}

#[test]
fn what_does_not_belong_is_named_with_its_place() {
    for (text, position) in [
        ("a.b(", 3),
        ("a b", 2),
        ("a,b", 1),
        ("f(a", 3),
        ("f(,a)", 2),
        ("f('a)", 2),
        ("a|", 2),
        ("#A", 0),
        ("sum(#B)", 4),
        ("", 0),
        ("a.{b, c}", 1),
    ] {
        assert_eq!(parse(text).unwrap_err().position, position, "{text}");
    }
}

#[test]
fn the_raw_text_of_a_tag_query_is_kept() {
    let found = parse("seriesByTag( 'a=b' , \"c=~d\" )").unwrap();
    assert_eq!(found, Expr::Tagged { raw: "seriesByTag( 'a=b' , \"c=~d\" )".to_owned() });
}

#[test]
fn depth_is_limited_for_calls_and_for_pipes() {
    let nested = |n: usize| format!("{}a{}", "f(".repeat(n), ")".repeat(n));
    let piped = |n: usize| format!("a{}", "|f()".repeat(n));
    assert!(parse(&nested(DEPTH_MAX - 1)).is_ok());
    assert!(parse(&nested(20_000)).unwrap_err().message.contains("256"));
    assert!(parse(&piped(DEPTH_MAX - 1)).is_ok());
    assert!(parse(&piped(20_000)).is_err());
}

#[test]
fn the_first_path_of_a_name_is_found_inside_its_calls() {
    assert_eq!(first_path("f(g(a.b,2),\"x\")").as_deref(), Some("a.b"));
    assert_eq!(first_path("a.b;c=d").as_deref(), Some("a.b;c=d"));
    assert_eq!(first_path("f(2)"), None);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9(){},.'\"|=\\\\ -]{0,60}") {
        let _parsed = parse(&text).is_ok();
        let _first = first_path(&text);
    }
}
