//! People as the services would have written them, approved and about to be created.

use gx_db::PgPool;
use gx_model::{
    AccountId, AccountType, BatchCommand, BiometricHash, Command, CommandId, CountryCode,
    FabricUserId, Gender, IdSubject, Qirat,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::macros::date;

/// Somebody whose id is reserved.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) profile_id: String,
    pub(crate) id: FabricUserId,
}

impl Person {
    /// A person of that number and country: the same each time.
    pub(crate) fn new(number: u64, country: &str) -> Self {
        let subject = IdSubject {
            email: format!("person{number}@example.com"),
            birth_date: date!(1992 - 08 - 20),
            country: country.parse().unwrap(),
            gender: Gender::Female,
            account_type: AccountType::Individual,
        };
        let id = FabricUserId::generate(&subject, &mut StdRng::seed_from_u64(number)).unwrap();
        Self::with_id(id)
    }

    pub(crate) fn with_id(id: FabricUserId) -> Self {
        Self { profile_id: format!("profile of {id}"), id }
    }

    /// Approved, with the id reserved, as registration and review leave it.
    pub(crate) async fn approved_in(self, pool: &PgPool) -> Self {
        sqlx::query(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                   "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", status,
                   "onchainStatus", "createdAt", "updatedAt")
               VALUES ($1, 'Ann', 'Other', replace(lower($2), ' ', '') || '@example.com', 'x',
                   '1992-08-20', 'female', left($2, 2), 'APPROVED_PENDING_ONCHAIN', 'PENDING',
                   '2025-01-01Z', '2025-01-01Z')"#,
        )
        .bind(&self.profile_id)
        .bind(self.id.as_str())
        .execute(pool)
        .await
        .unwrap();
        sqlx::query(
            r#"INSERT INTO "FabricIdReservation"
                   ("fabricUserId", "profileId", "commandId", "reservedAt")
               VALUES ($1, $2, $3, '2025-01-01Z')"#,
        )
        .bind(self.id.as_str())
        .bind(&self.profile_id)
        .bind(self.creation_id().to_string())
        .execute(pool)
        .await
        .unwrap();
        self
    }

    pub(crate) fn account(&self) -> AccountId {
        AccountId::User(self.id.clone())
    }

    /// The id of the command that creates this person, made at approval.
    pub(crate) fn creation_id(&self) -> CommandId {
        CommandId::derive(&["create", self.id.as_str()])
    }

    pub(crate) fn create(&self) -> Command {
        Command::CreateUser {
            user_id: self.id.clone(),
            biometric_hash: "ab".repeat(32).parse::<BiometricHash>().unwrap(),
            nationality: self.id.country(),
            age: 34,
        }
    }

    pub(crate) fn grant(&self) -> Command {
        Command::DistributeGenesis { user_id: self.id.clone(), nationality: self.id.country() }
    }

    pub(crate) fn freeze(&self) -> Command {
        let reason_code = "REVIEW".parse().unwrap();
        Command::FreezeWallet { user_id: self.id.clone(), reason_code }
    }

    pub(crate) fn unfreeze(&self) -> Command {
        Command::UnfreezeWallet { user_id: self.id.clone() }
    }

    pub(crate) fn pay(&self, to: &Self, gx: i64) -> Command {
        transfer(&self.account(), &to.account(), gx)
    }
}

pub(crate) fn transfer(from: &AccountId, to: &AccountId, gx: i64) -> Command {
    let amount = Qirat::gx(gx);
    Command::Transfer { from: from.clone(), to: to.clone(), amount, tx_type: None }
}

pub(crate) fn country(code: &str) -> CountryCode {
    code.parse().unwrap()
}

/// A command as a batch carries it, under an id of its own.
pub(crate) fn numbered(command: &Command, number: u64) -> BatchCommand {
    BatchCommand::new(CommandId::derive(&["test", &number.to_string()]), command)
}
