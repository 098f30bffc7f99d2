//! Rows as CSV: a line of columns, then one a point; fields with a comma or a quote stand in quotes (RFC 4180).

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::path::Path;

use super::{COLUMNS, EachRow, Row};
use crate::invocation::Failure;

pub(super) fn write_head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))
}

pub(super) fn write_row(out: &mut dyn Write, row: &Row) -> io::Result<()> {
    let Row { metric, time, value, step } = row;
    writeln!(out, "{},{time},{value},{step}", quoted(metric))
}

fn quoted(field: &str) -> Cow<'_, str> {
    if field.contains([',', '"']) {
        return Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")));
    }
    Cow::Borrowed(field)
}

/// Where each column stands in a line.
struct Places {
    metric: usize,
    time: usize,
    value: usize,
    step: Option<usize>,
}

impl Places {
    /// From the first line, which names the columns in any order; others beside them are allowed.
    fn of(head: &str) -> Result<Self, String> {
        let names = fields(head)?;
        let place = |wanted: &str| names.iter().position(|name| name.trim() == wanted);
        let [metric, time, value, step] = COLUMNS.map(|column| place(column).ok_or(column));
        let lacks = |column| format!("the first line names no column `{column}`");
        Ok(Self {
            metric: metric.map_err(lacks)?,
            time: time.map_err(lacks)?,
            value: value.map_err(lacks)?,
            step: step.ok(),
        })
    }

    fn row(&self, line: &str) -> Result<Row, String> {
        let fields = fields(line)?;
        let field = |place: usize| {
            let field = fields.get(place).map(|field| field.as_ref());
            field.ok_or_else(|| format!("{} fields, too few", fields.len()))
        };
        let time = field(self.time)?.trim();
        let value = field(self.value)?.trim();
        let step = self.step.map(field).transpose()?.unwrap_or("0").trim();
        Ok(Row {
            metric: field(self.metric)?.to_owned(),
            time: time
                .parse()
                .map_err(|_not| format!("time {time:?} is not seconds since 1970"))?,
            value: value.parse().map_err(|_not| format!("value {value:?} is not a number"))?,
            step: step.parse().map_err(|_not| format!("step {step:?} is not seconds"))?,
        })
    }
}

/// The fields of a line. Names of series hold no line ends, so neither do fields.
fn fields(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let (mut fields, mut rest) = (Vec::new(), Some(line));
    while let Some(text) = rest {
        let (field, behind) = match text.strip_prefix('"') {
            Some(text) => {
                let end = closing_quote(text).ok_or("a quote that is not closed")?;
                (Cow::Owned(text[..end].replace("\"\"", "\"")), &text[end + 1..])
            }
            None => {
                let end = text.find(',').unwrap_or(text.len());
                (Cow::Borrowed(&text[..end]), &text[end..])
            }
        };
        fields.push(field);
        rest = behind.strip_prefix(',');
        if rest.is_none() && !behind.is_empty() {
            return Err("text behind a closing quote".to_owned());
        }
    }
    Ok(fields)
}

/// The first quote that is not one of two.
fn closing_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')?;
        if !text[at + 1..].starts_with('"') {
            return Some(at);
        }
        from = at + 2;
    }
}

pub(super) fn read(mut input: impl BufRead, path: &Path, each: EachRow<'_>) -> Result<(), Failure> {
    let (mut line, mut places) = (Vec::new(), None);
    for number in 1_u64.. {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::of(path, &error))? == 0 {
            break;
        }
        let place = format!("{}:{number}", path.display());
        let text = str::from_utf8(&line).map_err(|_binary| "not UTF-8".to_owned());
        let text = text.map(|text| text.trim_end_matches(['\n', '\r']));
        match &places {
            None => {
                let found = text.and_then(Places::of);
                let fault = |why| Failure::new(format!("{place}: {why}"));
                places = Some(found.map_err(fault)?);
            }
            Some(_) if text == Ok("") => {}
            Some(places) => each(&place, text.and_then(|text| places.row(text)))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(text: &str) -> Vec<(String, Result<Row, String>)> {
        let mut found = Vec::new();
        read(text.as_bytes(), Path::new("p.csv"), &mut |place, row| {
            found.push((place.to_owned(), row));
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn a_bad_line_is_told_with_its_place_and_the_rest_is_read() {
        let text = "value,note,metric,time\r\n1,\"x, y\",a,60\r\n\r\nhigh,,b,60\n2,,c\n3,,\"d,60\n4,,e,120";
        let found = read_all(text);
        let whys: Vec<(&str, Option<&str>)> = found
            .iter()
            .map(|(place, row)| (place.as_str(), row.as_ref().err().map(String::as_str)))
            .collect();
        assert_eq!(
            whys,
            [
                ("p.csv:2", None),
                ("p.csv:4", Some("value \"high\" is not a number")),
                ("p.csv:5", Some("3 fields, too few")),
                ("p.csv:6", Some("a quote that is not closed")),
                ("p.csv:7", None),
            ]
        );
        let first = Row { metric: "a".to_owned(), time: 60, value: 1.0, step: 0 };
        assert_eq!(found[0].1, Ok(first));
    }

    proptest! {
        #[test]
        fn any_name_and_number_comes_back(metric in "[^\r\n]*", time: i64, value: f64, step: u32) {
            let row = Row { metric, time, value, step };
            let mut text = Vec::new();
            write_head(&mut text).unwrap();
            write_row(&mut text, &row).unwrap();
            let found = read_all(&String::from_utf8(text).unwrap());
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].1.as_ref(), Ok(&row));
        }

        #[test]
        fn no_text_is_a_panic(line in ".*") {
            drop(fields(&line));
        }
    }
}
