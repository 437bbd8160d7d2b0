//! People and programs: who they are, what each role may do, how they log in.

pub(crate) mod code;
pub(crate) mod external;
pub(crate) mod guard;
pub(crate) mod login;
pub(crate) mod manage;
pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod recovery;
pub(crate) mod scope;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use scope::{Roles, Scope};

/// What somebody is on this hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, people and API keys included.
    Admin,
    /// Hosts, tokens, profiles.
    Operator,
    /// Claims hosts that it stands beside, and sees nothing else.
    Technician,
    /// Sees all but people and the audit log, changes nothing.
    Viewer,
    /// Nothing but the own account: whoever has it is something in single projects only.
    None,
}

impl Role {
    /// Every role, in the order of pages.
    pub const ALL: [Self; 5] = [
        Self::Admin,
        Self::Operator,
        Self::Technician,
        Self::Viewer,
        Self::None,
    ];

    /// The one rule of who may do what.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Enter | Permission::Renew | Permission::Secure | Permission::Own => true,
            Permission::See => matches!(self, Self::Admin | Self::Operator | Self::Viewer),
            Permission::Claim => matches!(self, Self::Admin | Self::Operator | Self::Technician),
            Permission::Operate => matches!(self, Self::Admin | Self::Operator),
            Permission::Administer => self == Self::Admin,
        }
    }

    /// As the database and pages write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Technician => "technician",
            Self::Viewer => "viewer",
            Self::None => "none",
        }
    }

    /// The role of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What a route asks of its caller; each route has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// To go on with a login: give the code, log out.
    Enter,
    /// To change one's own password, also the first one.
    Renew,
    /// To set up one's own one-time codes.
    Secure,
    /// One's own account.
    Own,
    /// Look at hosts, tokens, profiles, events.
    See,
    /// Claim a host by its code, link or ID.
    Claim,
    /// Change hosts, tokens, profiles.
    Operate,
    /// People, API keys, registries, the audit log.
    Administer,
}

/// How far a login has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The password was right; the one-time code is missing.
    Code,
    /// The password is known to somebody else and must be changed first.
    Password,
    /// This hub asks for one-time codes, and the account has none yet. Never in the database: it
    /// follows from the account.
    Enroll,
    Whole,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Password => "password",
            Self::Enroll => "enroll",
            Self::Whole => "whole",
        }
    }

    /// What a login that has come this far may ask for, whoever it is.
    pub(crate) fn may(self, permission: Permission) -> bool {
        match self {
            Self::Code => permission == Permission::Enter,
            Self::Password => matches!(permission, Permission::Enter | Permission::Renew),
            Self::Enroll => matches!(permission, Permission::Enter | Permission::Secure),
            Self::Whole => true,
        }
    }

    /// A stage that nobody knows is the earliest.
    pub(crate) fn parse(name: &str) -> Self {
        match name {
            "whole" => Self::Whole,
            "password" => Self::Password,
            _ => Self::Code,
        }
    }
}

/// Who made a request.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// As the audit log names it: a person's name, or `key <name> (<id>)`.
    pub(crate) name: String,
    pub(crate) roles: Roles,
    /// What this request may reach.
    pub(crate) scope: Scope,
    pub(crate) stage: Stage,
    /// Every write by cookie carries it; empty for API keys, which no browser sends by itself.
    pub(crate) csrf: String,
    /// The login's hash, to end it; none for API keys.
    pub(crate) login: Option<String>,
}

impl Actor {
    /// The person's own account; API keys have none.
    pub(crate) fn person(&self) -> Option<&str> {
        self.login.as_ref().map(|_| self.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_its_name_says() {
        use Permission as P;
        let all = [
            P::Enter,
            P::Renew,
            P::Secure,
            P::Own,
            P::See,
            P::Claim,
            P::Operate,
            P::Administer,
        ];
        for (role, more) in [
            (
                Role::Admin,
                vec![P::See, P::Claim, P::Operate, P::Administer],
            ),
            (Role::Operator, vec![P::See, P::Claim, P::Operate]),
            (Role::Technician, vec![P::Claim]),
            (Role::Viewer, vec![P::See]),
            (Role::None, vec![]),
        ] {
            for permission in all {
                let want = more.contains(&permission) || all[..4].contains(&permission);
                assert_eq!(role.may(permission), want, "{role:?} {permission:?}");
            }
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        for permission in all {
            let want = permission == P::Enter;
            assert_eq!(Stage::Code.may(permission), want, "{permission:?}");
            let want = want || permission == P::Renew;
            assert_eq!(Stage::Password.may(permission), want, "{permission:?}");
            let want = matches!(permission, P::Enter | P::Secure);
            assert_eq!(Stage::Enroll.may(permission), want, "{permission:?}");
            assert!(Stage::Whole.may(permission));
        }
        assert_eq!(Stage::parse("nonsense"), Stage::Code);
    }
}
