//! Colours by the name of a template: those of graphite-web's example file.

/// Colours of a picture where the request names none.
pub(crate) struct Template {
    name: &'static str,
    pub(crate) background: &'static str,
    pub(crate) foreground: &'static str,
    pub(crate) major_line: &'static str,
    pub(crate) minor_line: &'static str,
    /// With commas between.
    pub(crate) line_colors: &'static str,
}

const LINE_COLORS: &str = "blue,green,red,purple,brown,yellow,aqua,grey,magenta,pink,gold,rose";
const SOLARIZED: &str = "268bd2aa,859900aa,dc322faa,d33682aa,db4b16aa,b58900aa,2aa198aa,6c71c4aa";

const DEFAULT: Template = Template {
    name: "default",
    background: "white",
    foreground: "black",
    major_line: "rose",
    minor_line: "grey",
    line_colors: LINE_COLORS,
};

/// The default with other lines.
const fn lines(name: &'static str, line_colors: &'static str) -> Template {
    Template { name, line_colors, ..DEFAULT }
}

const TEMPLATES: &[Template] = &[
    DEFAULT,
    Template {
        name: "solarized-light",
        background: "#fdf6e3",
        foreground: "#657b83",
        major_line: "#073642",
        minor_line: "#586e75",
        line_colors: SOLARIZED,
    },
    Template {
        name: "solarized-dark",
        background: "#002b36",
        foreground: "#839496",
        major_line: "#fdf6e3",
        minor_line: "#eee8d5",
        line_colors: SOLARIZED,
    },
    Template {
        name: "classic",
        background: "black",
        foreground: "white",
        major_line: "white",
        ..DEFAULT
    },
    Template {
        name: "noc",
        background: "black",
        foreground: "white",
        major_line: "white",
        line_colors: "blue,green,red,yellow,purple,brown,aqua,grey,magenta,pink,gold,rose",
        ..DEFAULT
    },
    Template {
        name: "summary",
        background: "black",
        line_colors: "#6666ff,#66ff66,#ff6666",
        ..DEFAULT
    },
    Template {
        name: "alphas",
        major_line: "grey",
        minor_line: "rose",
        line_colors: "00ff00aa,ff000077,00337799",
        ..DEFAULT
    },
    lines(
        "grafana",
        "#7eb26d,#eab839,#6ed0e0,#ef843c,#e24d42,#1f78c1,#ba43a9,#705da0,#508642,#cca300,#447ebc",
    ),
    lines("ocean1", "f7fcf0,e0f3db,ccebc5,a8ddb5,7bccc4,4eb3d3,2b8cbe,0868ac,084081"),
    lines("ocean2", "084081,0868ac,2b8cbe,4eb3d3,7bccc4,a8ddb5,ccebc5,e0f3db,f7fcf5"),
    lines("forest1", "f7fcf5,e5f5e0,c7e9c0,a1d99b,74c476,41ab5d,238b45,005a32"),
    lines("forest2", "005a32,238b45,41ab5d,74c476,a1d99b,c7e9c0,e5f5e0,f7fcf5"),
    lines("sunset1", "fff5eb,fee6ce,fdd0a2,fdae6b,fd8d3c,f16913,d94801,8c2d04"),
    lines("sunset2", "8c2d04,d94801,f16913,fd8d3c,fdae6b,fdd0a2,fee6ce,fff5eb"),
    lines("moonlight1", "fcfbfd,efedf5,dadaeb,bcbddc,9e9ac8,807dba,6a51a3,4a1486"),
    lines("moonlight2", "4a1486,6a51a3,807dba,9e9ac8,bcbddc,dadaeb,efedf5,fcfbfd"),
    lines("lava1", "fff5f0,fee0d2,fcbba1,fc9272,fb6a4a,ef3b2c,cb181d,99000d"),
    lines("lava2", "99000d,cb181d,ef3b2c,fb6a4a,fc9272,fcbba1,fee0d2,fff5f0"),
];

impl Template {
    /// The template of that name; the default where there is none.
    pub(crate) fn named(name: Option<&str>) -> &'static Self {
        TEMPLATES.iter().find(|row| Some(row.name) == name).unwrap_or(&DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::Color;

    #[test]
    fn every_color_of_every_template_is_one() {
        for row in TEMPLATES {
            let others = [row.background, row.foreground, row.major_line, row.minor_line];
            for color in row.line_colors.split(',').chain(others) {
                assert!(Color::parse(color).is_some(), "{}: {color}", row.name);
            }
        }
        assert_eq!(Template::named(Some("no such")).name, "default");
    }
}
