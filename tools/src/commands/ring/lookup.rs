//! `plumbago ring lookup`.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::OsStrExt;

use metric::Limits;

use super::{NamedRing, RingArgs};
use crate::invocation::{Context, Failure, Run};

#[derive(clap::Args)]
pub(crate) struct LookupNames {
    #[command(flatten)]
    ring: RingArgs,
    /// Clean names before hashing, as the relay does: dots cleaned, tags sorted.
    #[arg(long)]
    canonical: bool,
    /// Names to look up, hashed as given; without any, the lines of standard input.
    names: Vec<OsString>,
}

impl Run for LookupNames {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let ring = self.ring.build()?;
        let form = Form { json: context.json, canonical: self.canonical };
        if self.names.is_empty() {
            answer_lines(&ring, form, &mut io::stdin().lock(), context.out)?;
        }
        for name in self.names {
            answer(&ring, form, name.as_bytes(), context.out)?;
        }
        Ok(())
    }
}

/// How names are read and answers written.
#[derive(Clone, Copy)]
struct Form {
    json: bool,
    canonical: bool,
}

/// Answers every line, an empty one too, so that answers and lines stay side by side.
fn answer_lines(
    ring: &NamedRing,
    form: Form,
    input: &mut impl BufRead,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    let fault = |error| Failure::new(format!("standard input: {error}"));
    while input.read_until(b'\n', &mut line).map_err(fault)? > 0 {
        let name = line.strip_suffix(b"\n").unwrap_or(&line);
        answer(ring, form, name, out)?;
        line.clear();
    }
    Ok(())
}

fn answer(ring: &NamedRing, form: Form, name: &[u8], out: &mut dyn Write) -> Result<(), Failure> {
    let name = if form.canonical {
        let canonical = metric::canonicalise(name, &Limits::default());
        let fault = |error| Failure::new(format!("name `{}`: {error}", name.escape_ascii()));
        match canonical.map_err(fault)? {
            Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
            Cow::Owned(name) => Cow::Owned(name.into_bytes()),
        }
    } else {
        Cow::Borrowed(name)
    };
    let owners = ring.ring.owners(&name);
    let nodes = owners.iter().map(|&node| ring.names[usize::from(node)].as_str());
    if form.json {
        out.write_all(b"{\"metric\":")?;
        serde_json::to_writer(&mut *out, &String::from_utf8_lossy(&name))
            .map_err(io::Error::from)?;
        out.write_all(b",\"nodes\":")?;
        serde_json::to_writer(&mut *out, &nodes.collect::<Vec<_>>()).map_err(io::Error::from)?;
        out.write_all(b"}\n")?;
    } else {
        out.write_all(&name)?;
        let mut separator = b'\t';
        for node in nodes {
            out.write_all(&[separator])?;
            out.write_all(node.as_bytes())?;
            separator = b',';
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ring::{Node, Ring, RingSpec};

    use super::*;

    fn answers(form: Form, input: &[u8]) -> Result<Vec<u8>, Failure> {
        let names = ["10.0.0.1:2003", "10.0.0.2:2003=a"];
        let nodes = names.iter().map(|name| Node::parse(name).unwrap()).collect();
        let spec = RingSpec { copies: 2, ..RingSpec::default() };
        let names = names.map(str::to_owned).to_vec();
        let ring = NamedRing { ring: Ring::new(spec, nodes).unwrap(), names };
        let mut out = Vec::new();
        answer_lines(&ring, form, &mut &*input, &mut out).map(|()| out)
    }

    #[test]
    fn every_line_is_answered_with_its_own_bytes() {
        let form = Form { json: false, canonical: false };
        let out = answers(form, b"a.b\n\n\xff\r\nlast").unwrap();
        let lines: Vec<&[u8]> = out.split(|&byte| byte == b'\n').collect();
        let names: Vec<_> =
            lines.iter().filter_map(|line| line.split(|&byte| byte == b'\t').next()).collect();
        assert_eq!(names, [&b"a.b"[..], b"", b"\xff\r", b"last", b""]);
        for line in &lines[..4] {
            assert!(
                line.ends_with(b"\t10.0.0.1:2003,10.0.0.2:2003=a")
                    || line.ends_with(b"\t10.0.0.2:2003=a,10.0.0.1:2003")
            );
        }
    }

    #[test]
    fn json_is_one_object_a_line() {
        let form = Form { json: true, canonical: false };
        let out = answers(form, "größe\"\n".as_bytes()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["metric"], "größe\"");
        assert_eq!(value["nodes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn canonical_names_are_hashed_and_printed_clean() {
        let form = Form { json: false, canonical: true };
        assert_eq!(
            answers(form, b".a..b;y=1;x=2\n").unwrap(),
            answers(form, b"a.b;x=2;y=1\n").unwrap()
        );
        let error = answers(form, b"a b\n").unwrap_err().message.unwrap();
        assert_eq!(error, "name `a b`: name holds a character that is not allowed");
    }
}
