'use strict';

const { Contract } = require('fabric-contract-api');

// How often each transaction has been simulated here. One service answers every peer, so that
// the second simulation of a transaction is the second endorsement.
const simulations = new Map();

// Misbehaves on request.
class Faulty extends Contract {
  constructor() {
    super('faulty');
  }

  async refuseAfterFirst(ctx, message) {
    if (count(ctx) > 1) {
      throw new Error(message);
    }
    await ctx.stub.putState('endorsed', Buffer.from('once'));
  }

  async differ(ctx) {
    await ctx.stub.putState('different', Buffer.from(String(count(ctx))));
  }

  async slow(_ctx, milliseconds) {
    await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
    return 'slept';
  }

  async large(_ctx, bytes) {
    return 'x'.repeat(Number(bytes));
  }

  async crash() {
    process.exit(99);
  }
}

function count(ctx) {
  const id = ctx.stub.getTxID();
  const times = (simulations.get(id) ?? 0) + 1;
  simulations.set(id, times);
  return times;
}

exports.Faulty = Faulty;
