//! The catalogue of push types: name, payload and target of each (`bitwarden.md` 5.2).

use super::member::{FieldKind, Member};

/// A type of push that the catalogue knows.
#[derive(Debug)]
pub struct PushType {
    /// Its number on the wire.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// The payload's members, in the order in which they are written.
    pub members: &'static [Member],
    /// Whom it is for.
    pub target: Target,
    /// Whether a `SyncVault` makes up for it, so that it may be replaced by one in the queue of a slow client
    /// (`decisions.md` 4).
    pub coalescible: bool,
    /// Whether who missed it is sent a `SyncVault` (`decisions.md` 5).
    pub covered: bool,
}

/// How a type's target is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The user whom this member names.
    User(&'static str),
    /// The organisation.
    Organization,
    /// The user, or if there is none the organisation.
    UserOrOrganization,
    /// Installation before user before organisation, narrowed to a kind of client.
    Narrowed,
    /// The connection that waits for the answer to this login request, on the anonymous hub.
    LoginRequest,
}

impl Target {
    /// Returns the member without which a push would have no route; `None` if there are several, or none of them is needed.
    pub fn required_member(self) -> Option<&'static str> {
        match self {
            Target::User(member) => Some(member),
            Target::Organization => Some("OrganizationId"),
            Target::LoginRequest => Some("Id"),
            Target::UserOrOrganization | Target::Narrowed => None,
        }
    }
}

const fn member(name: &'static str, kind: FieldKind) -> Member {
    Member { name, kind }
}

const USER_ID: Member = member("UserId", FieldKind::Id);
const ORGANIZATION_ID: Member = member("OrganizationId", FieldKind::Id);

const CIPHER: &[Member] = &[
    member("Id", FieldKind::Id),
    member("UserId", FieldKind::OptionalId),
    member("OrganizationId", FieldKind::OptionalId),
    member("CollectionIds", FieldKind::OptionalIds),
    member("RevisionDate", FieldKind::Date),
];
const ITEM: &[Member] = &[member("Id", FieldKind::Id), USER_ID, member("RevisionDate", FieldKind::Date)];
const USER: &[Member] = &[USER_ID, member("Date", FieldKind::ExtraDate), member("Reason", FieldKind::OptionalByte)];
const LOG_OUT: &[Member] = &[USER_ID, member("Reason", FieldKind::OptionalByte)];
const AUTH_REQUEST: &[Member] = &[USER_ID, member("Id", FieldKind::Id)];
const ORGANIZATION_STATUS: &[Member] = &[ORGANIZATION_ID, member("Enabled", FieldKind::Flag)];
const COLLECTION_SETTING: &[Member] = &[
    ORGANIZATION_ID,
    member("LimitCollectionCreation", FieldKind::ExtraFlag),
    member("LimitCollectionDeletion", FieldKind::ExtraFlag),
    member("LimitItemDeletion", FieldKind::ExtraFlag),
    member("Enabled", FieldKind::AddedFlag),
];
const NOTIFICATION: &[Member] = &[
    member("Id", FieldKind::Id),
    member("Priority", FieldKind::Byte),
    member("Global", FieldKind::Flag),
    member("ClientType", FieldKind::Byte),
    member("UserId", FieldKind::OptionalId),
    member("OrganizationId", FieldKind::OptionalId),
    member("InstallationId", FieldKind::OptionalId),
    member("TaskId", FieldKind::OptionalId),
    member("Title", FieldKind::OptionalText),
    member("Body", FieldKind::OptionalText),
    member("CreationDate", FieldKind::Date),
    member("RevisionDate", FieldKind::Date),
    member("ReadDate", FieldKind::OptionalDate),
    member("DeletedDate", FieldKind::OptionalDate),
];
const SECURITY_TASKS: &[Member] = &[USER_ID, member("Date", FieldKind::Date)];
const ORGANIZATION: &[Member] = &[ORGANIZATION_ID];
const PROVIDER: &[Member] = &[member("ProviderId", FieldKind::Id), member("AdminId", FieldKind::Id)];
const POLICY: &[Member] = &[
    member("Id", FieldKind::Id),
    ORGANIZATION_ID,
    member("Type", FieldKind::Byte),
    member("Data", FieldKind::OptionalText),
    member("Enabled", FieldKind::Flag),
    member("CreationDate", FieldKind::GivenDate),
    member("RevisionDate", FieldKind::GivenDate),
];
const POLICY_CHANGED: &[Member] = &[ORGANIZATION_ID, member("Policy", FieldKind::Object(POLICY))];
const AUTO_CONFIRM: &[Member] = &[
    USER_ID,
    ORGANIZATION_ID,
    member("TargetUserId", FieldKind::Id),
    member("TargetOrganizationUserId", FieldKind::Id),
];
const PREMIUM: &[Member] = &[USER_ID, member("Premium", FieldKind::Flag)];

const fn push(number: u8, name: &'static str, members: &'static [Member], target: Target) -> PushType {
    let coalescible = matches!(number, 0..=5 | 7..=10 | 12..=14);
    let covered = coalescible || matches!(number, 6 | 17..=19 | 25);
    PushType { number, name, members, target, coalescible, covered }
}

const TO_USER: Target = Target::User("UserId");

/// The types by number.
static TYPES: [PushType; 28] = [
    push(0, "SyncCipherUpdate", CIPHER, Target::UserOrOrganization),
    push(1, "SyncCipherCreate", CIPHER, Target::UserOrOrganization),
    push(2, "SyncLoginDelete", CIPHER, Target::UserOrOrganization),
    push(3, "SyncFolderDelete", ITEM, TO_USER),
    push(4, "SyncCiphers", USER, TO_USER),
    push(5, "SyncVault", USER, TO_USER),
    push(6, "SyncOrgKeys", USER, TO_USER),
    push(7, "SyncFolderCreate", ITEM, TO_USER),
    push(8, "SyncFolderUpdate", ITEM, TO_USER),
    push(9, "SyncCipherDelete", CIPHER, Target::UserOrOrganization),
    push(10, "SyncSettings", USER, TO_USER),
    push(11, "LogOut", LOG_OUT, TO_USER),
    push(12, "SyncSendCreate", ITEM, TO_USER),
    push(13, "SyncSendUpdate", ITEM, TO_USER),
    push(14, "SyncSendDelete", ITEM, TO_USER),
    push(15, "AuthRequest", AUTH_REQUEST, TO_USER),
    push(16, "AuthRequestResponse", AUTH_REQUEST, Target::LoginRequest),
    push(17, "SyncOrganizations", USER, TO_USER),
    push(18, "SyncOrganizationStatusChanged", ORGANIZATION_STATUS, Target::Organization),
    push(19, "SyncOrganizationCollectionSettingChanged", COLLECTION_SETTING, Target::Organization),
    push(20, "Notification", NOTIFICATION, Target::Narrowed),
    push(21, "NotificationStatus", NOTIFICATION, Target::Narrowed),
    push(22, "RefreshSecurityTasks", SECURITY_TASKS, TO_USER),
    push(23, "OrganizationBankAccountVerified", ORGANIZATION, Target::Organization),
    push(24, "ProviderBankAccountVerified", PROVIDER, Target::User("AdminId")),
    push(25, "PolicyChanged", POLICY_CHANGED, Target::Organization),
    push(26, "AutoConfirm", AUTO_CONFIRM, TO_USER),
    push(27, "PremiumStatusChanged", PREMIUM, TO_USER),
];

impl PushType {
    /// The types of the catalogue.
    pub fn all() -> &'static [PushType] {
        &TYPES
    }

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<&'static PushType> {
        TYPES.get(usize::from(number))
    }

    /// The type with this name, whatever the case.
    pub fn named(name: &str) -> Option<&'static PushType> {
        TYPES.iter().find(|push_type| push_type.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_type_number_equals_its_index_in_types() {
        for (place, push_type) in TYPES.iter().enumerate() {
            assert_eq!(usize::from(push_type.number), place, "{}", push_type.name);
        }
    }
}
