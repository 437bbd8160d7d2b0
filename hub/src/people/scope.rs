//! In which projects a caller may do what a route asks for. The guard makes one [`Scope`] for each
//! request; queries take a set of projects from it, and every single object passes through it.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use super::{Permission, Role};
use crate::admin::problem::Problem;
use crate::codes::ProblemCode;

/// The project that is there from the beginning.
pub(crate) const DEFAULT: &str = "default";

/// A set of projects in the form that queries compare: `*` for all of them, `|a|b|` for some, `|`
/// for none. A query says `($1 = '*' OR $1 LIKE '%|' || project || '|%')`: names of projects have no
/// character that means something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Projects(String);

impl Projects {
    pub(crate) fn all() -> Self {
        Self("*".to_owned())
    }

    pub(crate) fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = "|".to_owned();
        for name in names {
            text.push_str(name);
            text.push('|');
        }
        Self(text)
    }

    pub(crate) fn has(&self, project: &str) -> bool {
        self.0 == "*" || self.0.contains(&format!("|{project}|"))
    }

    /// For a parameter of a query.
    pub(crate) fn sql(&self) -> &str {
        &self.0
    }
}

/// What somebody is in which projects.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    /// In every project, those to come too.
    pub(crate) everywhere: Role,
    /// In single ones, beside that.
    pub(crate) bound: BTreeMap<String, Role>,
}

impl Roles {
    /// Whether there is a project in which they have the permission. The hub itself is nobody's
    /// who is not an admin of all projects.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        let bound = |role: &Role| permission != Permission::Administer && role.may(permission);
        self.everywhere.may(permission) || self.bound.values().any(bound)
    }

    /// The projects whose objects they see.
    pub(crate) fn sees(&self) -> Projects {
        self.within(Permission::See)
    }

    /// Whether they have the permission in this project.
    pub(crate) fn may_in(&self, project: &str, permission: Permission) -> bool {
        self.within(permission).has(project)
    }

    /// The projects in which they have a permission.
    fn within(&self, permission: Permission) -> Projects {
        if self.everywhere.may(permission) {
            return Projects::all();
        }
        let bound = self.bound.iter().filter(|(_, role)| role.may(permission));
        Projects::only(bound.map(|(project, _)| project.as_str()))
    }

    /// The hub's projects in which they have a permission.
    pub(crate) fn choices(&self, permission: Permission, scope: &Scope) -> Vec<String> {
        let within = self.within(permission);
        let known = scope.known.iter();
        known.filter(|name| within.has(name)).cloned().collect()
    }

    /// The scope of a request that asks for `permission`; `known` are the hub's projects.
    pub(crate) fn scope(&self, permission: Permission, known: Vec<String>) -> Scope {
        Scope {
            sees: self.sees(),
            may: self.within(permission),
            known,
        }
    }

    /// As pages show it: `operator`, `viewer in a, operator in b`.
    pub(crate) fn shown(&self) -> String {
        if self.everywhere != Role::None || self.bound.is_empty() {
            return self.everywhere.name().to_owned();
        }
        let bound = self.bound.iter();
        let texts = bound.map(|(project, role)| format!("{} in {project}", role.name()));
        texts.collect::<Vec<_>>().join(", ")
    }
}

/// What one request may reach.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Where the caller sees what there is: lists hold nothing else.
    pub(crate) sees: Projects,
    /// Where the caller may do what the route asks for.
    pub(crate) may: Projects,
    /// Every project of the hub.
    known: Vec<String>,
}

impl Scope {
    /// Lets an object of a project through.
    ///
    /// # Errors
    /// `missing` for who may not see it: whether it exists is nothing for them. 403 for who sees it
    /// and may not do this.
    pub(crate) fn admit(
        &self,
        project: &str,
        missing: impl FnOnce() -> Problem,
    ) -> Result<(), Problem> {
        if self.may.has(project) {
            return Ok(());
        }
        if !self.sees.has(project) {
            return Err(missing());
        }
        let detail = format!(
            "your role in the project `{project}` does not allow this; ask an admin of the hub"
        );
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            ProblemCode::Forbidden,
            detail,
        ))
    }

    /// Where something new goes: where it was asked for, else into `default`, else into the one
    /// project that there is for the caller.
    ///
    /// # Errors
    /// 404 for a project that is unknown to the caller, 403 for one that is only seen, 422 when it
    /// has to be named.
    pub(crate) fn place(&self, asked: Option<&str>) -> Result<String, Problem> {
        if let Some(asked) = asked.map(str::trim).filter(|asked| !asked.is_empty()) {
            self.known(asked)?;
            self.admit(asked, || unknown(asked))?;
            return Ok(asked.to_owned());
        }
        if self.may.has(DEFAULT) {
            return Ok(DEFAULT.to_owned());
        }
        match self.choices().as_slice() {
            [one] => Ok((*one).to_owned()),
            several => {
                let several = several.join(", ");
                let detail = format!("say in which project, with `project`: {several}");
                Err(Problem::bad_input(detail))
            }
        }
    }

    /// What a list shows: everything that is seen, or one project of it.
    ///
    /// # Errors
    /// 404 for a project that the caller does not see.
    pub(crate) fn narrowed(&self, asked: Option<&str>) -> Result<Projects, Problem> {
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
            return Ok(self.sees.clone());
        };
        self.known(asked)?;
        match self.sees.has(asked) {
            true => Ok(Projects::only([asked])),
            false => Err(unknown(asked)),
        }
    }

    /// The projects in which the caller may do this.
    pub(crate) fn choices(&self) -> Vec<&str> {
        let known = self.known.iter().map(String::as_str);
        known.filter(|name| self.may.has(name)).collect()
    }

    /// The projects that the caller sees.
    pub(crate) fn seen(&self) -> Vec<&str> {
        let known = self.known.iter().map(String::as_str);
        known.filter(|name| self.sees.has(name)).collect()
    }

    fn known(&self, asked: &str) -> Result<(), Problem> {
        match self.known.iter().any(|name| name == asked) {
            true => Ok(()),
            false => Err(unknown(asked)),
        }
    }
}

/// What to say of a project that is not there, or not for the caller.
pub(crate) fn unknown(project: &str) -> Problem {
    Problem::not_found(format!("no project is called `{project}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(everywhere: Role, bound: &[(&str, Role)]) -> Roles {
        let bound = bound.iter().map(|(name, role)| ((*name).to_owned(), *role));
        Roles {
            everywhere,
            bound: bound.collect(),
        }
    }

    fn scope(roles: &Roles, permission: Permission) -> Scope {
        let known = ["a", "aa", "b", DEFAULT].map(str::to_owned).to_vec();
        roles.scope(permission, known)
    }

    #[test]
    fn a_set_has_whole_names_only() {
        let some = Projects::only(["ab", "c"]);
        for (name, want) in [("ab", true), ("c", true), ("a", false), ("", false)] {
            assert_eq!(some.has(name), want, "{name}");
            assert!(Projects::all().has(name) && !Projects::only([]).has(name));
        }
    }

    #[test]
    fn an_object_is_there_for_who_sees_its_project_and_done_to_by_who_may() {
        let roles = roles(Role::None, &[("a", Role::Operator), ("b", Role::Viewer)]);
        let scope = scope(&roles, Permission::Operate);
        let admitted = |project: &str| {
            let missing = || Problem::not_found("nothing");
            scope.admit(project, missing).map_err(|it| it.status)
        };
        assert_eq!(admitted("a"), Ok(()));
        assert_eq!(admitted("b"), Err(403));
        assert_eq!(admitted("aa"), Err(404));
        assert_eq!(admitted(DEFAULT), Err(404));
        assert_eq!((scope.choices(), scope.seen()), (vec!["a"], vec!["a", "b"]));
    }

    #[test]
    fn something_new_goes_where_its_maker_may_put_it() {
        use Role::{None as Nothing, Operator, Viewer};
        let default = Ok(DEFAULT.to_owned());
        let a = || Ok("a".to_owned());
        for (roles, asked, want) in [
            (roles(Operator, &[]), None, default),
            (roles(Operator, &[]), Some("a"), a()),
            (roles(Operator, &[]), Some("c"), Err(404)),
            (roles(Viewer, &[("a", Operator)]), None, a()),
            (roles(Viewer, &[("a", Operator)]), Some("b"), Err(403)),
            (roles(Nothing, &[("a", Operator)]), Some(""), a()),
            (roles(Nothing, &[("a", Operator)]), Some("b"), Err(404)),
            (
                roles(Nothing, &[("a", Operator), ("b", Operator)]),
                None,
                Err(422),
            ),
        ] {
            let scope = scope(&roles, Permission::Operate);
            let placed = scope.place(asked).map_err(|it| it.status);
            assert_eq!(placed, want, "{roles:?} {asked:?}");
        }
    }

    #[test]
    fn nobody_administers_the_hub_by_a_role_in_one_project() {
        let bound = roles(Role::None, &[("a", Role::Admin)]);
        assert!(!bound.may(Permission::Administer) && bound.may(Permission::Operate));
        assert!(roles(Role::Admin, &[]).may(Permission::Administer));
        assert!(!roles(Role::None, &[]).may(Permission::See));
    }
}
