'use strict';

const { Plain } = require('./plain');
const { State } = require('./state');
const { Confidential } = require('./confidential');
const { Faulty } = require('./faulty');

// The first contract is the one that a call without a contract's name reaches.
exports.contracts = [Plain, State, Confidential, Faulty];
