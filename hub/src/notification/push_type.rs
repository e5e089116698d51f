//! The catalog of push types: the name, the payload and the target of each (`bitwarden.md` 5.2). No I/O.

use super::member::{FieldKind, Member};

/// A push type of the catalog.
#[derive(Debug)]
pub struct PushType {
    /// The number on the wire.
    pub number: u8,
    /// The name.
    pub name: &'static str,
    /// The members of the payload, in the order in which they are written.
    pub members: &'static [Member],
    /// How its audience is found.
    pub target: Target,
    /// Whether a `SyncVault` may replace it in the queue of a slow client (`decisions.md` 4).
    pub coalescible: bool,
    /// Whether a client that missed it gets a `SyncVault` (`decisions.md` 5).
    pub covered: bool,
}

/// How the audience of a push type is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The user in this member.
    User(&'static str),
    /// The organization.
    Organization,
    /// The user, or the organization if there is no user.
    UserOrOrganization,
    /// The installation, or else the user, or else the organization, restricted to a client type.
    ByClientType,
    /// The connections on the anonymous hub that wait for the answer to a login request.
    LoginRequest,
}

impl Target {
    /// Returns the member that the audience depends on, or `None` if it does not depend on a single member.
    pub fn required_member(self) -> Option<&'static str> {
        match self {
            Target::User(member) => Some(member),
            Target::Organization => Some("OrganizationId"),
            Target::LoginRequest => Some("Id"),
            Target::UserOrOrganization | Target::ByClientType => None,
        }
    }
}

const fn member(name: &'static str, kind: FieldKind) -> Member {
    Member { name, kind }
}

const USER_ID: Member = member("UserId", FieldKind::Id);
const ORGANIZATION_ID: Member = member("OrganizationId", FieldKind::Id);

const CIPHER_MEMBERS: &[Member] = &[
    member("Id", FieldKind::Id),
    member("UserId", FieldKind::OptionalId),
    member("OrganizationId", FieldKind::OptionalId),
    member("CollectionIds", FieldKind::OptionalIds),
    member("RevisionDate", FieldKind::Date),
];
const ITEM_MEMBERS: &[Member] = &[member("Id", FieldKind::Id), USER_ID, member("RevisionDate", FieldKind::Date)];
const USER_MEMBERS: &[Member] =
    &[USER_ID, member("Date", FieldKind::ExtraDate), member("Reason", FieldKind::OptionalByte)];
const LOG_OUT_MEMBERS: &[Member] = &[USER_ID, member("Reason", FieldKind::OptionalByte)];
const AUTH_REQUEST_MEMBERS: &[Member] = &[USER_ID, member("Id", FieldKind::Id)];
const ORGANIZATION_STATUS_MEMBERS: &[Member] = &[ORGANIZATION_ID, member("Enabled", FieldKind::Bool)];
const COLLECTION_SETTING_MEMBERS: &[Member] = &[
    ORGANIZATION_ID,
    member("LimitCollectionCreation", FieldKind::ExtraBool),
    member("LimitCollectionDeletion", FieldKind::ExtraBool),
    member("LimitItemDeletion", FieldKind::ExtraBool),
    member("Enabled", FieldKind::AddedBool),
];
const NOTIFICATION_MEMBERS: &[Member] = &[
    member("Id", FieldKind::Id),
    member("Priority", FieldKind::Byte),
    member("Global", FieldKind::Bool),
    member("ClientType", FieldKind::Byte),
    member("UserId", FieldKind::OptionalId),
    member("OrganizationId", FieldKind::OptionalId),
    member("InstallationId", FieldKind::OptionalId),
    member("TaskId", FieldKind::OptionalId),
    member("Title", FieldKind::OptionalString),
    member("Body", FieldKind::OptionalString),
    member("CreationDate", FieldKind::Date),
    member("RevisionDate", FieldKind::Date),
    member("ReadDate", FieldKind::OptionalDate),
    member("DeletedDate", FieldKind::OptionalDate),
];
const SECURITY_TASKS_MEMBERS: &[Member] = &[USER_ID, member("Date", FieldKind::Date)];
const ORGANIZATION_MEMBERS: &[Member] = &[ORGANIZATION_ID];
const PROVIDER_MEMBERS: &[Member] = &[member("ProviderId", FieldKind::Id), member("AdminId", FieldKind::Id)];
const POLICY_MEMBERS: &[Member] = &[
    member("Id", FieldKind::Id),
    ORGANIZATION_ID,
    member("Type", FieldKind::Byte),
    member("Data", FieldKind::OptionalString),
    member("Enabled", FieldKind::Bool),
    member("CreationDate", FieldKind::DateIfPresent),
    member("RevisionDate", FieldKind::DateIfPresent),
];
const POLICY_CHANGED_MEMBERS: &[Member] = &[ORGANIZATION_ID, member("Policy", FieldKind::Object(POLICY_MEMBERS))];
const AUTO_CONFIRM_MEMBERS: &[Member] = &[
    USER_ID,
    ORGANIZATION_ID,
    member("TargetUserId", FieldKind::Id),
    member("TargetOrganizationUserId", FieldKind::Id),
];
const PREMIUM_MEMBERS: &[Member] = &[USER_ID, member("Premium", FieldKind::Bool)];

const fn push(number: u8, name: &'static str, members: &'static [Member], target: Target) -> PushType {
    let coalescible = matches!(number, 0..=5 | 7..=10 | 12..=14);
    let covered = coalescible || matches!(number, 6 | 17..=19 | 25);
    PushType { number, name, members, target, coalescible, covered }
}

const TO_USER: Target = Target::User("UserId");

/// The push types by number.
static TYPES: [PushType; 28] = [
    push(0, "SyncCipherUpdate", CIPHER_MEMBERS, Target::UserOrOrganization),
    push(1, "SyncCipherCreate", CIPHER_MEMBERS, Target::UserOrOrganization),
    push(2, "SyncLoginDelete", CIPHER_MEMBERS, Target::UserOrOrganization),
    push(3, "SyncFolderDelete", ITEM_MEMBERS, TO_USER),
    push(4, "SyncCiphers", USER_MEMBERS, TO_USER),
    push(5, "SyncVault", USER_MEMBERS, TO_USER),
    push(6, "SyncOrgKeys", USER_MEMBERS, TO_USER),
    push(7, "SyncFolderCreate", ITEM_MEMBERS, TO_USER),
    push(8, "SyncFolderUpdate", ITEM_MEMBERS, TO_USER),
    push(9, "SyncCipherDelete", CIPHER_MEMBERS, Target::UserOrOrganization),
    push(10, "SyncSettings", USER_MEMBERS, TO_USER),
    push(11, "LogOut", LOG_OUT_MEMBERS, TO_USER),
    push(12, "SyncSendCreate", ITEM_MEMBERS, TO_USER),
    push(13, "SyncSendUpdate", ITEM_MEMBERS, TO_USER),
    push(14, "SyncSendDelete", ITEM_MEMBERS, TO_USER),
    push(15, "AuthRequest", AUTH_REQUEST_MEMBERS, TO_USER),
    push(16, "AuthRequestResponse", AUTH_REQUEST_MEMBERS, Target::LoginRequest),
    push(17, "SyncOrganizations", USER_MEMBERS, TO_USER),
    push(18, "SyncOrganizationStatusChanged", ORGANIZATION_STATUS_MEMBERS, Target::Organization),
    push(19, "SyncOrganizationCollectionSettingChanged", COLLECTION_SETTING_MEMBERS, Target::Organization),
    push(20, "Notification", NOTIFICATION_MEMBERS, Target::ByClientType),
    push(21, "NotificationStatus", NOTIFICATION_MEMBERS, Target::ByClientType),
    push(22, "RefreshSecurityTasks", SECURITY_TASKS_MEMBERS, TO_USER),
    push(23, "OrganizationBankAccountVerified", ORGANIZATION_MEMBERS, Target::Organization),
    push(24, "ProviderBankAccountVerified", PROVIDER_MEMBERS, Target::User("AdminId")),
    push(25, "PolicyChanged", POLICY_CHANGED_MEMBERS, Target::Organization),
    push(26, "AutoConfirm", AUTO_CONFIRM_MEMBERS, TO_USER),
    push(27, "PremiumStatusChanged", PREMIUM_MEMBERS, TO_USER),
];

impl PushType {
    /// Returns all push types of the catalog, by number.
    pub fn all() -> &'static [PushType] {
        &TYPES
    }

    /// Returns the push type with this number, or `None` if it is not in the catalog.
    pub fn from_number(number: u8) -> Option<&'static PushType> {
        TYPES.get(usize::from(number))
    }

    /// Returns the push type with this name in any case, or `None` if it is not in the catalog.
    pub fn from_name(name: &str) -> Option<&'static PushType> {
        TYPES.iter().find(|push_type| push_type.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_type_number_equals_its_index_in_types() {
        for (index, push_type) in TYPES.iter().enumerate() {
            assert_eq!(usize::from(push_type.number), index, "{}", push_type.name);
        }
    }
}
