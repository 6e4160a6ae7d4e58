// How many transactions a second Fabric's own client brings through, with one command each:
//
//   node bench.js TARGET CALLS CONCURRENCY
//
// TARGET and CALLS are files of gx-bench, which reads the one line on standard output.

import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { Client, credentials } from '@grpc/grpc-js';
import { connect, signers } from '@hyperledger/fabric-gateway';

const [targetFile, callsFile, concurrency] = process.argv.slice(2);
const target = JSON.parse(readFileSync(targetFile));
const calls = JSON.parse(readFileSync(callsFile));

const { admin } = target.signers;
const named = target.server_name ? { 'grpc.ssl_target_name_override': target.server_name } : {};
const client = new Client(target.endpoint, credentials.createSsl(Buffer.from(target.tls_root_pem)), named);
const gateway = connect({
  client,
  identity: { mspId: admin.msp_id, credentials: Buffer.from(admin.certificate_pem) },
  signer: signers.newPrivateKeySigner(createPrivateKey(admin.private_key_pem)),
});
const contract = gateway.getNetwork(target.channel).getContract(target.chaincode);

let next = 0;
let valid = 0;

async function work() {
  while (next < calls.length) {
    const call = calls[next++];
    try {
      await contract.submitTransaction(call.function, ...call.args, call.commandId);
      valid += 1;
    } catch (error) {
      console.error(error.message, ...(error.details ?? []).map((detail) => detail.message));
    }
  }
}

const start = performance.now();
await Promise.all(Array.from({ length: Number(concurrency) }, work));
console.log(JSON.stringify({ elapsedMs: performance.now() - start, valid }));
gateway.close();
client.close();
