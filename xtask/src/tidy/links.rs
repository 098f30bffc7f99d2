//! Relative links in markdown must lead to a file or folder.

use std::path::Path;

use super::File;
use crate::fault::Fault;

pub(super) fn check(file: &File, root: &Path, faults: &mut Vec<Fault>) {
    if !file.has_extension("md") {
        return;
    }
    let folder = root.join(&file.path);
    let folder = folder.parent().expect("a file lies in a folder");
    for (number, target) in relative_links(file) {
        let path = target.split('#').next().unwrap_or_default();
        if !path.is_empty() && !folder.join(path).exists() {
            let problem = format!("the link to `{target}` leads nowhere; mend or delete it");
            faults.push(Fault::new(&file.path, number, problem));
        }
    }
}

/// Targets of links outside code, without those that name a scheme.
fn relative_links(file: &File) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut in_code = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                links.push((number, target.to_owned()));
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_code_must_lead_somewhere() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        std::fs::write(folder.path().join("docs/a.md"), "").unwrap();
        let text = "[a](a.md#x) [up](..) [web](https://a.b/c) [here](#x) `[i](n.md)`\n\
                    [`a`](a.md) and [no](b.md), [gone](../c.md \"title\")\n\
                    ```\n[code](d.md)\n```\n";
        let file = File { path: "docs/b.md".into(), text: text.into() };
        let mut faults = Vec::new();
        check(&file, folder.path(), &mut faults);
        let found: Vec<_> = faults.iter().map(|fault| (fault.line, &*fault.problem)).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].0 == 2 && found[0].1.contains("`b.md`"));
        assert!(found[1].0 == 2 && found[1].1.contains("`../c.md`"));
    }
}
