// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token as most are, with six decimals; anyone mints.
contract PlainToken is ERC20("Plain Token", "PLAIN") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}

/// @notice Takes a part of every transfer, as soon as somebody wants it to.
contract TaxedToken is PlainToken {
    uint256 public taxBps;

    function setTax(uint256 bps) external {
        taxBps = bps;
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 tax = from == address(0) || to == address(0) ? 0 : (amount * taxBps) / 10_000;
        if (tax != 0) super._update(from, address(0), tax);
        super._update(from, to, amount - tax);
    }
}

/// @notice What somebody holds becomes less, by itself.
contract RebasingToken is PlainToken {
    function rebase(address account, uint256 bps) external {
        _burn(account, (balanceOf(account) * bps) / 10_000);
    }
}

/// @notice Its issuer stops it, or some account.
contract StoppedToken is PlainToken {
    mapping(address account => bool) public isStopped;

    error Stopped(address account);

    function stop(address account, bool stopped) external {
        isStopped[account] = stopped;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (isStopped[from] || isStopped[to]) revert Stopped(isStopped[from] ? from : to);
        super._update(from, to, amount);
    }
}

/// @notice Burns all gas that a transfer is given, as soon as somebody wants it to.
contract GasEater is PlainToken {
    bool public isHungry;

    function setHungry(bool hungry) external {
        isHungry = hungry;
    }

    function _update(address from, address to, uint256 amount) internal override {
        // An invalid operation takes all that there is.
        assembly ("memory-safe") {
            if sload(isHungry.slot) {
                invalid()
            }
        }
        super._update(from, to, amount);
    }
}

/// @notice Who is told of a CallingToken's moves.
interface IHooks {
    function beforeMove(address from, address to, uint256 amount) external;

    function afterMove(address from, address to, uint256 amount) external;
}

/// @notice Calls somebody before and after each transfer, as ERC-777 does.
contract CallingToken is PlainToken {
    IHooks public hooks;

    function setHooks(IHooks hooks_) external {
        hooks = hooks_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (address(hooks) != address(0)) hooks.beforeMove(from, to, amount);
        super._update(from, to, amount);
        if (address(hooks) != address(0)) hooks.afterMove(from, to, amount);
    }
}

/// @notice An old token: its calls return nothing, and it refuses to move nothing.
contract QuietToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address account => mapping(address spender => uint256)) public allowance;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        require(amount != 0, "nothing");
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Says that it has paid, or not, and moves nothing.
contract LyingToken is PlainToken {
    bool public answer;

    function setAnswer(bool answer_) external {
        answer = answer_;
    }

    function transferFrom(address, address, uint256) public view override returns (bool) {
        return answer;
    }
}
