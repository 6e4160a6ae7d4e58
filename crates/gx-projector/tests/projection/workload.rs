//! A little of everything that can happen on the ledger.

use gx_devnet::TxValidationCode;
use gx_model::{AccountId, BatchCommand, Command, CommandId, Pool, SignerRole};

use crate::people::{Person, country, transfer};
use crate::world::{World, batch};

/// The people of the workload: two of one country, one of another.
pub(crate) fn people() -> [Person; 3] {
    [Person::new(1, "MY"), Person::new(2, "MY"), Person::new(3, "SG")]
}

/// Lets people live, and things go wrong: commands refused, deferred, cancelled and repeated,
/// envelopes sent twice, transactions found invalid.
pub(crate) async fn a_little_of_everything(world: &World) {
    let [ann, ben, cho] = people();
    world.try_submit(&[ann.create()]).await;
    world.submit(&[Command::BootstrapSystem {}, crate::world::countries(&["MY", "SG", "US"])]).await;
    world.submit(&[ann.create(), ann.grant(), ben.create(), cho.create()]).await;
    world.submit(&[cho.grant(), ben.grant()]).await;
    world.submit(&[ann.pay(&ben, 120), ben.pay(&cho, 2), cho.pay(&ann, 30), ben.pay(&ann, 1)]).await;
    world.try_submit(&[ann.pay(&cho, 100_000), ann.grant(), ann.pay(&cho, 1)]).await;
    world.submit(&[Command::ActivateTreasury { country_code: country("MY") }]).await;
    let (treasury, fund) = (AccountId::Treasury(country("MY")), AccountId::Pool(Pool::Charitable));
    world.submit(&[transfer(&treasury, &ann.account(), 7), transfer(&treasury, &fund, 20)]).await;
    world.submit(&[transfer(&fund, &cho.account(), 5), ben.freeze(), cho.freeze()]).await;
    world.submit(&[cho.unfreeze(), ann.pay(&ben, 3)]).await;
    world.submit(&[Command::PauseSystem { reason_code: "REVIEW".parse().unwrap() }]).await;
    world.try_submit(&[ann.pay(&ben, 4)]).await;
    world.submit(&[Command::ResumeSystem {}]).await;
    for code in [TxValidationCode::MvccReadConflict, TxValidationCode::EndorsementPolicyFailure] {
        world.faults().force_validation_code(1, code);
        world.commit(&batch(&[ann.pay(&cho, 9)])).await;
    }
    let repeated = batch(&[ann.pay(&cho, 8), cho.pay(&ann, 6)]);
    world.commit(&repeated).await;
    world.commit(&repeated).await;
    let (fenced, by) = (CommandId::derive(&["fenced"]), CommandId::derive(&["fence"]));
    world.call(BatchCommand::CANCEL, &[format!("[\"{fenced}\"]"), by.to_string()]).await;
    world.commit(&[BatchCommand::new(fenced, &ann.pay(&cho, 50))]).await;
    twice(world, &[ann.pay(&cho, 11)]).await;
}

/// One envelope that stands in two blocks.
async fn twice(world: &World, commands: &[Command]) {
    let signer = world.signer(SignerRole::Admin);
    let args = [serde_json::to_string(&batch(commands)).unwrap()];
    let endorsed = world.ledger.endorse(&signer, BatchCommand::EXECUTE, &args).await.unwrap();
    let before = world.tip().await;
    for _ in 0..2 {
        world.ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap();
    }
    crate::waiting::eventually("two blocks", async || {
        (world.tip().await == before + 2).then_some(())
    })
    .await;
}
