// The network under test: what a `network.json` says, and connections made from it.

import { createHash, createPrivateKey, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';

import { Client, credentials } from '@grpc/grpc-js';
import { connect, signers } from '@hyperledger/fabric-gateway';

const CALL_MS = 60_000;
const MAX_MESSAGE_BYTES = 100 * 1024 * 1024;

/** The runner's notes; a file of GX_NETWORK alone when somebody points at a network of their own. */
export const world = process.env.GX_WORLD
  ? JSON.parse(readFileSync(process.env.GX_WORLD))
  : { kind: 'other', network: process.env.GX_NETWORK, chaincodes: [] };

export const network = JSON.parse(readFileSync(world.network));
export const channel = network.channel;

/** Organisations by their short name. */
export const [org1, org2, org3] = network.orgs;

/** The users of the network: members of the channel, an administrator, and a stranger. */
export const user1 = user(org1);
export const user2 = user(org2);
export const stranger = user(org3);
export const admin1 = { mspId: org1.mspId, cert: readFileSync(org1.adminCert), key: readFileSync(org1.adminKey) };

function user(org) {
  return { mspId: org.mspId, cert: readFileSync(org.cert), key: readFileSync(org.key) };
}

/** Everything opened by a file's tests is closed when they are over, so that its process ends. */
const opened = [];
after(() => opened.reverse().forEach((one) => one.close()));

/** A gRPC connection to an organisation's peer. */
export function connection(org, options = {}) {
  return channelTo(org.peer, readFileSync(org.tlsCa), options);
}

/** A gRPC connection to any address. */
export function channelTo(address, tlsCa, options = {}) {
  const limits = { 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES, ...options };
  const client = new Client(address, credentials.createSsl(tlsCa), limits);
  opened.push(client);
  return client;
}

const shared = new Map();

function sharedConnection(org) {
  if (!shared.has(org)) {
    shared.set(org, connection(org));
  }
  return shared.get(org);
}

/** A gateway for a user; by default User1 of Org1, at the peer of their organisation. */
export function gateway(options = {}) {
  const { as = user1, at = network.orgs.find((org) => org.mspId === as.mspId), ...rest } = options;
  const connected = connect({
    client: sharedConnection(at),
    identity: { mspId: as.mspId, credentials: as.cert },
    signer: signerOf(as),
    ...deadlines(CALL_MS),
    ...rest,
  });
  opened.push(connected);
  return connected;
}

/** Limits for each unary call of a gateway. */
export function deadlines(milliseconds) {
  const options = () => ({ deadline: Date.now() + milliseconds });
  return { evaluateOptions: options, endorseOptions: options, submitOptions: options, commitStatusOptions: options };
}

/** Signs digests with a user's key. */
export function signerOf({ key }) {
  return signers.newPrivateKeySigner(createPrivateKey(key));
}

/** A key or name that no other test uses. */
export function unique(word) {
  return `${word} ${randomBytes(6).toString('hex')}`;
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

export const text = (bytes) => Buffer.from(bytes).toString();

export const json = (bytes) => JSON.parse(text(bytes));
