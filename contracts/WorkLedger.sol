// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ComputeToken} from "./ComputeToken.sol";
import {IBondVault} from "./interfaces/IBondVault.sol";
import {IJobEscrow} from "./interfaces/IJobEscrow.sol";
import {INetworkParameters} from "./interfaces/INetworkParameters.sol";
import {LedgerAudits} from "./ledger/LedgerAudits.sol";
import {LedgerState} from "./ledger/LedgerState.sol";

/// @title Leases, rounds, audits and their outcome
/// @notice Put together from ledger/: LedgerState (storage, views) <- LedgerLineage (lease,
/// anchors) <- LedgerLocks (of bonds) <- LedgerOutcomes (final statuses) <- LedgerRounds (commit, finalise) and LedgerDisputes
/// (challenge, verdict) <- LedgerAudits (draw, commit, open, reveal). It calls only the network's own contracts, none of
/// which calls back except the referee through onVerdict.
contract WorkLedger is LedgerAudits {
    constructor(
        ComputeToken token_,
        INetworkParameters parameters_,
        IBondVault vault_,
        IJobEscrow escrow_
    ) LedgerState(token_, parameters_, vault_, escrow_) {}
}
