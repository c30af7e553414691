// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorPreventLateQuorum} from "@openzeppelin/contracts/governance/extensions/GovernorPreventLateQuorum.sol";
import {GovernorSettings} from "@openzeppelin/contracts/governance/extensions/GovernorSettings.sol";
import {GovernorStorage} from "@openzeppelin/contracts/governance/extensions/GovernorStorage.sol";
import {GovernorTimelockControl} from "@openzeppelin/contracts/governance/extensions/GovernorTimelockControl.sol";
import {GovernorVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";
import {GovernorVotesQuorumFraction} from "@openzeppelin/contracts/governance/extensions/GovernorVotesQuorumFraction.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

import {IBondVotes} from "./interfaces/IBondVotes.sol";

/// @title The DAO
/// @notice Holders of ComputeToken propose and vote, with what is delegated to them and with what they
/// have bonded; what passes runs through the timelock, which owns NetworkParameters. Bonds, escrows
/// and rewards are out of its reach: no contract that holds them knows it. All times are seconds, by
/// the token's clock.
/// A guardian may veto a proposal, and withdraw who waits for the referee's seat (RefereeSeat), until
/// a day that is fixed at deployment; it can do nothing else, and no vote replaces it or gives it
/// more time.
/// @dev Proposals are kept on chain (GovernorStorage), so that a node lists, queues and executes
/// them by their number alone.
contract AinurGovernor is
    Governor,
    GovernorSettings,
    GovernorCountingSimple,
    GovernorStorage,
    GovernorVotes,
    GovernorVotesQuorumFraction,
    GovernorTimelockControl,
    GovernorPreventLateQuorum
{
    /// @notice The longest that a guardian may be given.
    uint48 public constant MAX_GUARDIAN_S = 730 days;

    /// @notice Where bonded tokens keep their owners' votes.
    IBondVotes public immutable vault;
    /// @notice Who may veto; 0 for nobody.
    address public immutable guardian;
    /// @notice When the guardian's power ends, Unix seconds.
    uint48 public immutable guardianUntil;

    /// @notice The guardian would keep its power for too long, or it is nobody and has some.
    error BadGuardian(address guardian, uint48 guardianS, uint48 max);
    /// @notice The voter had no votes when voting began. Remedy: delegate, or bond, before the next
    /// proposal.
    error NoVotes(uint256 proposalId, address voter, uint256 snapshot);

    /// @notice The guardian ended a proposal.
    event Vetoed(uint256 indexed proposalId, address guardian);

    /// @param token_ What votes.
    /// @param vault_ Where a part of it is bonded.
    /// @param timelock_ Executes what passed.
    /// @param votingDelayS From proposal to the first vote.
    /// @param votingPeriodS From the first to the last vote.
    /// @param proposalThresholdWei Votes that a proposer needs.
    /// @param quorumPercent Part of the supply that must vote for or abstain.
    /// @param lateQuorumS Time that remains to vote at least once the quorum is reached.
    /// @param guardian_ May veto; 0 for nobody.
    /// @param guardianS For how long from now; 0 exactly where the guardian is nobody.
    constructor(
        IVotes token_,
        IBondVotes vault_,
        TimelockController timelock_,
        uint48 votingDelayS,
        uint32 votingPeriodS,
        uint256 proposalThresholdWei,
        uint256 quorumPercent,
        uint48 lateQuorumS,
        address guardian_,
        uint48 guardianS
    )
        Governor("Ainur Governor")
        GovernorSettings(votingDelayS, votingPeriodS, proposalThresholdWei)
        GovernorVotes(token_)
        GovernorVotesQuorumFraction(quorumPercent)
        GovernorTimelockControl(timelock_)
        GovernorPreventLateQuorum(lateQuorumS)
    {
        if (guardianS > MAX_GUARDIAN_S || (guardian_ == address(0)) != (guardianS == 0)) {
            revert BadGuardian(guardian_, guardianS, MAX_GUARDIAN_S);
        }
        vault = vault_;
        guardian = guardian_;
        // INVARIANT: the guardian's power ends on a day that nobody can move.
        guardianUntil = uint48(block.timestamp) + guardianS;
    }

    /// @notice The token's clock, Unix seconds, which need not be asked for: votes are cheaper so.
    function clock() public view override(Governor, GovernorVotes) returns (uint48) {
        return Time.timestamp();
    }

    /// @inheritdoc Governor
    function proposalThreshold()
        public
        view
        override(Governor, GovernorSettings)
        returns (uint256)
    {
        return super.proposalThreshold();
    }

    /// @inheritdoc Governor
    function state(
        uint256 proposalId
    ) public view override(Governor, GovernorTimelockControl) returns (ProposalState) {
        return super.state(proposalId);
    }

    /// @inheritdoc Governor
    function proposalNeedsQueuing(
        uint256 proposalId
    ) public view override(Governor, GovernorTimelockControl) returns (bool) {
        return super.proposalNeedsQueuing(proposalId);
    }

    /// @inheritdoc Governor
    function proposalDeadline(
        uint256 proposalId
    ) public view override(Governor, GovernorPreventLateQuorum) returns (uint256) {
        return super.proposalDeadline(proposalId);
    }

    function _propose(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        string memory description,
        address proposer
    ) internal override(Governor, GovernorStorage) returns (uint256) {
        return super._propose(targets, values, calldatas, description, proposer);
    }

    /// @dev INVARIANT: a token votes once. It is either delegated or bonded at any second, and the
    /// supply, of which the quorum is a part, counts both.
    function _getVotes(
        address account,
        uint256 timepoint,
        bytes memory params
    ) internal view override(Governor, GovernorVotes) returns (uint256) {
        return super._getVotes(account, timepoint, params) + vault.pastVotesOf(account, timepoint);
    }

    /// @dev Refuses a vote that would change nothing and use up the voter's only one.
    function _countVote(
        uint256 proposalId,
        address account,
        uint8 support,
        uint256 totalWeight,
        bytes memory params
    ) internal override(Governor, GovernorCountingSimple) returns (uint256) {
        if (totalWeight == 0) revert NoVotes(proposalId, account, proposalSnapshot(proposalId));
        return super._countVote(proposalId, account, support, totalWeight, params);
    }

    /// @dev INVARIANT: the guardian's only power is to end a proposal before it was executed.
    function _validateCancel(
        uint256 proposalId,
        address caller
    ) internal view override returns (bool) {
        return _isGuardian(caller) || super._validateCancel(proposalId, caller);
    }

    function _isGuardian(address account) private view returns (bool) {
        return account == guardian && block.timestamp < guardianUntil;
    }

    function _tallyUpdated(
        uint256 proposalId
    ) internal override(Governor, GovernorPreventLateQuorum) {
        super._tallyUpdated(proposalId);
    }

    function _queueOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint48) {
        return super._queueOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _executeOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) {
        super._executeOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _cancel(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint256 proposalId) {
        proposalId = super._cancel(targets, values, calldatas, descriptionHash);
        if (_isGuardian(msg.sender)) emit Vetoed(proposalId, msg.sender);
    }

    function _executor()
        internal
        view
        override(Governor, GovernorTimelockControl)
        returns (address)
    {
        return super._executor();
    }
}
