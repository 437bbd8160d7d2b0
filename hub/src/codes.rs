//! Machine codes of all that the hub refuses. They are part of the two APIs: a code keeps its name.
//! The tests provoke each of them and fail when one is not provoked.

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $code:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$about])* $code,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// As it stands in answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)*
                }
            }
        }
    };
}

codes! {
    /// What a host is told when its request is refused (`burin_api::message::Refusal::code`).
    HostCode {
        /// The request does not parse, or a value in it cannot be.
        BadRequest = "bad_request",
        BadSignature = "bad_signature",
        /// The hub did not give this nonce, or it was used, or its time is over.
        BadNonce = "bad_nonce",
        TokenUnknown = "token_unknown",
        TokenExpired = "token_expired",
        TokenUsed = "token_used",
        TokenRevoked = "token_revoked",
        /// The token is good from other networks.
        TokenNetwork = "token_network",
        /// There is no such host; it has to enroll.
        HostUnknown = "host_unknown",
        /// The host is pending or was denied.
        NotAccepted = "not_accepted",
        /// An admin ended the host's rights.
        Revoked = "revoked",
        /// Two machines use one key.
        Quarantined = "quarantined",
        SessionUnknown = "session_unknown",
        /// The number of a sync was used before.
        Sequence = "sequence",
        /// The new identity key was a key of a host before.
        KeyUsed = "key_used",
        /// Too many requests, or no room for another host that waits.
        Limited = "limited",
        /// The database is away; passes by itself.
        Busy = "busy",
        /// A fault of the hub.
        Internal = "internal",
    }
}

codes! {
    /// What people and programs are told (`type` of a problem document).
    ProblemCode {
        /// A value or a document is wrong.
        BadInput = "bad_input",
        NotFound = "not_found",
        /// The request is right, but the state of something forbids it.
        Refused = "refused",
        /// Nobody is logged in, or the password or one-time code is wrong.
        Unauthorized = "unauthorized",
        /// The role does not allow it.
        Forbidden = "forbidden",
        /// The form is not of this login.
        Csrf = "csrf",
        /// The account has one-time codes.
        CodeNeeded = "code_needed",
        /// The account has to set up one-time codes first.
        CodesRequired = "codes_required",
        /// The first password has to be changed first.
        PasswordChange = "password_change",
        /// Too many wrong passwords for this name.
        Locked = "locked",
        /// Too many requests.
        Limited = "limited",
        /// The key is not the one of the host.
        WrongKey = "wrong_key",
        /// The link is not of this host.
        WrongHost = "wrong_host",
        /// The number is not the one on the host's screen.
        WrongNumber = "wrong_number",
        /// No host shows this code.
        UnknownCode = "unknown_code",
        /// The host has not called yet.
        NoContact = "no_contact",
        /// The host is in the fleet, or was turned away.
        Claimed = "claimed",
        /// The hardware check stopped the host.
        Blocked = "blocked",
        /// Another live machine has the host ID.
        IdConflict = "id_conflict",
        /// Hosts would refuse the release: its signature is missing or not good.
        NotSigned = "not_signed",
        /// A registry cannot be read.
        Registry = "registry",
        /// The way over the identity provider.
        Oidc = "oidc",
        /// A form or document is too long.
        TooLarge = "too_large",
        /// The method is not answered at this address.
        Method = "method",
        /// The database is away; passes by itself.
        Busy = "busy",
        /// A fault of the hub.
        Internal = "internal",
    }
}
