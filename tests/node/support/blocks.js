// What stands in blocks, read with the official messages.

import { common, ledger, msp, peer } from '@hyperledger/fabric-protos';

import { sha256, text } from './world.js';

/** The hash that the next block names: over the header as ASN.1. */
export function headerHash(block) {
  const header = block.getHeader();
  return sha256(sequence([
    integer(BigInt(header.getNumber())),
    octets(header.getPreviousHash_asU8()),
    octets(header.getDataHash_asU8()),
  ]));
}

/** The hash over a block's envelopes that its header must hold. */
export function dataHash(block) {
  return sha256(Buffer.concat(block.getData().getDataList_asU8().map((bytes) => Buffer.from(bytes))));
}

/** The transactions of a block with their validation codes. */
export function transactions(block) {
  const codes = block.getMetadata().getMetadataList_asU8()[common.BlockMetadataIndex.TRANSACTIONS_FILTER];
  return block.getData().getDataList_asU8().map((bytes, i) => ({ ...transaction(common.Envelope.deserializeBinary(bytes)), code: codes[i] }));
}

/** What an envelope holds; endorsements and effects only when it is an endorser transaction. */
export function transaction(envelope) {
  const payload = common.Payload.deserializeBinary(envelope.getPayload_asU8());
  const header = common.ChannelHeader.deserializeBinary(payload.getHeader().getChannelHeader_asU8());
  const creator = common.SignatureHeader.deserializeBinary(payload.getHeader().getSignatureHeader_asU8()).getCreator_asU8();
  const base = { id: header.getTxId(), channel: header.getChannelId(), type: header.getType(), creator: mspId(creator) };
  if (base.type !== common.HeaderType.ENDORSER_TRANSACTION) {
    return base;
  }
  const [action] = peer.Transaction.deserializeBinary(payload.getData_asU8()).getActionsList();
  const endorsed = peer.ChaincodeActionPayload.deserializeBinary(action.getPayload_asU8()).getAction();
  const response = peer.ProposalResponsePayload.deserializeBinary(endorsed.getProposalResponsePayload_asU8());
  const effect = peer.ChaincodeAction.deserializeBinary(response.getExtension_asU8());
  return {
    ...base,
    endorsers: endorsed.getEndorsementsList().map((endorsement) => mspId(endorsement.getEndorser_asU8())),
    chaincode: effect.getChaincodeId().getName(),
    result: text(effect.getResponse().getPayload_asU8()),
    event: event(effect.getEvents_asU8()),
    namespaces: namespaces(effect.getResults_asU8()),
  };
}

/** Writes by namespace, hashed private writes by collection. */
function namespaces(bytes) {
  const sets = ledger.rwset.TxReadWriteSet.deserializeBinary(bytes).getNsRwsetList();
  return Object.fromEntries(sets.map((set) => {
    const plain = ledger.rwset.kvrwset.KVRWSet.deserializeBinary(set.getRwset_asU8());
    const writes = plain.getWritesList().map((write) => ({ key: write.getKey(), value: text(write.getValue_asU8()), isDelete: write.getIsDelete() }));
    const collections = set.getCollectionHashedRwsetList().map((hashed) => [hashed.getCollectionName(), hashedWrites(hashed)]);
    return [set.getNamespace(), { writes, collections: Object.fromEntries(collections) }];
  }));
}

function hashedWrites(collection) {
  const hashed = ledger.rwset.kvrwset.HashedRWSet.deserializeBinary(collection.getHashedRwset_asU8());
  return hashed.getHashedWritesList().map((write) => ({
    keyHash: Buffer.from(write.getKeyHash_asU8()).toString('hex'),
    valueHash: Buffer.from(write.getValueHash_asU8()).toString('hex'),
  }));
}

/** Private writes of a BlockAndPrivateData event: `{[transaction's index]: {[collection]: [{key, value}]}}`. */
export function privateWrites(blockAndPrivateData) {
  const found = {};
  blockAndPrivateData.getPrivateDataMapMap().forEach((privateSet, index) => {
    const collections = privateSet.getNsPvtRwsetList().flatMap((set) => set.getCollectionPvtRwsetList());
    found[index] = Object.fromEntries(collections.map((collection) => {
      const writes = ledger.rwset.kvrwset.KVRWSet.deserializeBinary(collection.getRwset_asU8()).getWritesList();
      return [collection.getCollectionName(), writes.map((write) => ({ key: write.getKey(), value: text(write.getValue_asU8()) }))];
    }));
  });
  return found;
}

function event(bytes) {
  if (bytes.length === 0) {
    return undefined;
  }
  const message = peer.ChaincodeEvent.deserializeBinary(bytes);
  return { name: message.getEventName(), payload: text(message.getPayload_asU8()), txId: message.getTxId(), chaincode: message.getChaincodeId() };
}

function mspId(serialized) {
  return serialized.length === 0 ? '' : msp.SerializedIdentity.deserializeBinary(serialized).getMspid();
}

function sequence(parts) {
  return tagged(0x30, Buffer.concat(parts));
}

function octets(bytes) {
  return tagged(0x04, Buffer.from(bytes));
}

function integer(value) {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return tagged(0x02, bytes[0] & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

/** ASN.1 DER of contents below 128 bytes, which a header's are. */
function tagged(tag, content) {
  return Buffer.concat([Buffer.of(tag, content.length), content]);
}
